/** A copy in a file: it goes on where it was left, and one that was damaged is healed by what the server has, verified. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseId } from '../../src/base/ids.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { parsePlace } from '../../src/data/place.ts'
import { verifyPlace } from '../../src/data/verify-place.ts'
import { KIND, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import { encodeRecord } from '../../src/event/record.ts'
import type { LogEngine } from '../../src/log/engine.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { markKept } from '../../src/session/identity.ts'
import { recordsOf, slabsOf } from '../log/stored-records.ts'
import { machine, someone, startServer, type TestServer } from './net-kit.ts'

const Note = defineType<{ text: string }>('note')
const me = markKept(someone())
let folder = ''
let server: TestServer

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ate-replica-'))
  server = await startServer()
})
afterEach(async () => {
  await server.close()
  await rm(folder, { recursive: true })
})

const open = (here = machine()): ReturnType<typeof openChain> =>
  openChain(
    `${server.url}/notes`,
    {
      as: me,
      serverKey: server.identity,
      create: true,
      replica: `file:${join(folder, 'copy')}`,
      snapshot: 'ignore',
    },
    here,
  )

async function written(count: number, here = machine()): Promise<string> {
  const chain = await open(here)
  for (let i = 0; i < count; i++) await chain.transact((tx) => tx.create(Note, { text: `note ${i}` }))
  await chain.close()
  return chain.id
}

/** Turns bits of the newest segment over, `from` bytes in. */
function damage(from: number): void {
  const name = readdirSync(join(folder, 'copy')).find((file) => file.startsWith('seg-'))!
  const path = join(folder, 'copy', name)
  const bytes = readFileSync(path)
  for (let i = from; i < from + 40; i++) bytes[i] = bytes[i]! ^ 0x55
  writeFileSync(path, bytes)
}

describe('a copy in a file', () => {
  test('goes on where it was left', async () => {
    const here = machine()
    await written(5, here)
    const other = await openChain(`${server.url}/notes`, { as: me, serverKey: server.identity }, machine())
    await other.transact((tx) => tx.create(Note, { text: 'of another' }))
    await other.close()
    await using chain = await open(here)
    const texts: string[] = []
    for await (const note of chain.children(Note)) texts.push((note.value as { text: string }).text)
    expect(texts).toHaveLength(6)
    expect(texts).toContain('of another')
  })

  // What a snapshot covers is read when somebody asks for it: so it is not used here.
  test.each([4300, 9000, 16_000])('that was damaged at byte %i is healed, and verifies', async (at) => {
    const here = machine()
    const id = await written(8, here)
    damage(at)
    const chain = await open(here)
    expect(chain.id).toBe(id)
    const texts: string[] = []
    for await (const note of chain.children(Note)) texts.push((note.value as { text: string }).text)
    expect(texts).toHaveLength(8)
    await chain.transact((tx) => tx.create(Note, { text: 'one more' }))
    await chain.close()
    const report = await verifyPlace(`file:${join(folder, 'copy')}`, { id }, here)
    expect(report.problems).toEqual([])
    expect(report.ok).toBe(true)
  })

  test.each([
    ['who may not orders a record', 'BAD_SEQUENCER', KIND.commit],
    ['who may not recovers the chain', 'BAD_RECOVERY', KIND.recover],
  ] as const)('in which somebody %s is fetched anew', async (_, code, kind) => {
    const here = machine()
    const id = await written(3, here)
    const at = `file:${join(folder, 'copy')}`
    const label = parseId(id, 'chain')
    const opened = async (): Promise<LogEngine> => parsePlace(at, {}, here).open({ create: false, label })
    const engine = await opened()
    const { crypto } = here
    const { seq, hash } = engine.head()!
    const orders = kind === KIND.commit ? someone() : server.identity
    const head = { seq: seq + 1, prev: hash, admittedAt: Date.now(), sequencer: orders.fingerprintBytes, kind }
    let payload = new Uint8Array(50)
    for await (const chunk of engine.read(1)) {
      payload = chunk[0]!.bytes.slice(RECORD_HEAD_BYTES)
      break
    }
    const forged = encodeRecord(crypto, label, head, payload)
    await engine.append([forged], { after: engine.head(), durability: 'disk', load: 'alone' })
    await engine.close()
    const found = await verifyPlace(at, { id }, here)
    expect(found.problems).toMatchObject([{ code }])
    const chain = await open(here)
    expect(chain.children(Note).count()).toBe(3)
    await chain.close()
    expect(await verifyPlace(at, { id }, here)).toMatchObject({ ok: true })
  })

  test('that is damaged is kept when the server cannot make up for it', async () => {
    const here = machine()
    await written(8, here)
    damage(9000)
    const store = server.stores.get('notes')!
    store.records = slabsOf(recordsOf(store).slice(0, 4))
    const before = readdirSync(join(folder, 'copy'))
    await server.close()
    server = await startServer({
      identity: server.identity,
      stores: new Map([['notes', { ...store, written: false }]]),
    })
    await expect(open(here)).rejects.toMatchObject({ code: 'ROLLBACK' })
    expect(readdirSync(join(folder, 'copy'))).toEqual(before)
  })
})
