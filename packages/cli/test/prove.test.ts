/**
 * `ate prove`, `ate verify-proof` and saved evidence, as processes.
 * @newest-node-only: runs the TypeScript sources
 */
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createIdentity, defineType, openChain, openIdentity, saveIdentity } from '@ate/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Machine, newMachine } from './run-ate.ts'

const Note = defineType<{ text: string }>('note')

let machine: Machine
let chain: string
let note: string
let txId: string

beforeAll(async () => {
  machine = newMachine()
  await saveIdentity(await createIdentity(), join(machine.folder, 'alice.id'))
  const as = await openIdentity(join(machine.folder, 'alice.id'))
  const opened = await openChain(`file:${join(machine.folder, 'notes')}`, { as })
  chain = opened.id
  note = (await opened.transact((tx) => tx.create(Note, { text: 'milk' }))).id
  await opened.checkpoint()
  const tx = opened.begin()
  tx.create(Note, { text: 'bread' })
  txId = (await tx.commit()).txId
  await opened.checkpoint()
  await opened.close()
})
afterAll(() => machine.remove())

const prove = (...args: readonly string[]): ReturnType<Machine['run']> =>
  machine.quick(['prove', 'notes', '--as', 'alice.id', ...args])
const check = (...args: readonly string[]): ReturnType<Machine['run']> =>
  machine.quick(['verify-proof', ...args, '--chain', chain])

describe('ate prove and ate verify-proof', () => {
  it.each([
    ['record', () => ['1'], /^ok: record 1 stands in the log.*\nauthor {6}[0-9a-z]{52}.*not shown/s],
    ['tx', () => [txId], /\ntransaction [0-9a-z]{26}, 1 event\n/],
    ['value', () => ['--entity', note, '--ciphertext'], /\nevent {7}create note [0-9a-z]{26}\nvalue {7}\d+ bytes/],
    ['since', () => ['--since', '2'], /^ok: the first 2 of \d records/],
  ] as const)('of a %s', async (name, args, says) => {
    expect(await prove(...args(), '--out', `${name}.json`)).toEqual({ code: 0, stdout: '', stderr: '' })
    const { code, stdout } = await check(`${name}.json`)
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(says) })
  })

  it('print to stdout, and JSON', async () => {
    const { stdout } = await machine.run(['prove', 'notes', '--as', 'alice.id', '1'])
    writeFileSync(join(machine.folder, 'good.json'), stdout)
    writeFileSync(join(machine.folder, 'changed.json'), stdout.replace('"head": "AAAA', '"head": "AAAB'))
    const { stdout: json } = await machine.run(['verify-proof', 'good.json', '--json', '--chain', chain])
    expect(JSON.parse(json)).toMatchObject({ kind: 'record', chain, record: { seq: 1 } })
  })

  it('refuse a proof that was changed, of another chain, or of keys that are not trusted', async () => {
    const refused = { code: 1, stdout: '', stderr: expect.stringContaining('BAD_PROOF') }
    expect(await check('changed.json')).toMatchObject(refused)
    const wrong = Buffer.alloc(32, 1).toString('base64')
    expect(await check('good.json', '--checkpoint-key', wrong)).toMatchObject(refused)
    const other = await machine.run(['verify-proof', 'good.json', '--chain', `${'0'.repeat(50)}10`])
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining('another chain') })
    expect(await check('good.json', '--witness', 'w.example+8d66cf3f+BAAA')).toMatchObject({ code: 1 })
  })

  it('say which file or argument is wrong', async () => {
    const taken = await prove('1', '--out', 'alice.id')
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining('is there already') })
    expect(await prove()).toMatchObject({ code: 1, stderr: expect.stringContaining('give one of') })
    expect(await check('absent.json')).toMatchObject({ code: 1, stderr: expect.stringContaining('cannot be read') })
    expect((await machine.quick(['verify-proof', 'good.json'])).code).toBe(2)
  })
})

describe('evidence', () => {
  it('of an older copy is saved by ate verify, and judged as what it is', async () => {
    const place = join(machine.folder, 'notes')
    const older = join(machine.folder, 'older')
    cpSync(place, older, { recursive: true })
    const writer = await openChain(`file:${place}`, { as: await openIdentity(join(machine.folder, 'alice.id')) })
    await writer.transact((tx) => tx.create(Note, { text: 'newer' }))
    await writer.close()
    // The machine of the command sees the newer one, and remembers it.
    expect((await prove('1')).code).toBe(0)
    rmSync(place, { recursive: true })
    cpSync(older, place, { recursive: true })
    const report = await machine.run(['verify', 'notes', '--id', chain, '--save-evidence', 'evidence.json'])
    expect(report).toMatchObject({ code: 1, stdout: expect.stringContaining('ROLLBACK') })
    const found = await check('evidence.json')
    expect(found).toMatchObject({ code: 1, stdout: expect.stringMatching(/^claim: a rollback.*\nsigned {6}record/s) })
  })
})
