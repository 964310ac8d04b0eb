/** What is wrong with the chains of a server: its operator is told where it lies, clients are told a code. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AteError } from '../../src/base/errors.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { createIdentity, openChain } from '../../src/index.ts'
import { type Served, type ServeOptions, type ServerAlarm, serve } from '../../src/server.ts'

const Note = defineType<{ text: string }>('note')
let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-alarms-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

function serveHere(more: Partial<ServeOptions> = {}): Promise<Served> {
  return serve({ listen: 'ws://127.0.0.1:0/db', data: join(root, 'served'), ...more })
}

function metricsOf({ url }: Served): Promise<string> {
  return new Promise((resolve, reject) => {
    get(`http://${new URL(url).host}/metrics`, { agent: false }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => resolve(Buffer.concat(parts).toString()))
    }).on('error', reject)
  })
}

test('a damaged log is told to the operator, with its place, and counted; a client learns the code', async () => {
  const as = await createIdentity()
  const first = await serveHere()
  const chain = await openChain(`${first.url}/notes`, { as, create: true, serverKey: first.publicKey })
  await chain.transact((tx) => tx.create(Note, { text: 'x'.repeat(2000) }))
  await chain.close()
  expect(Number(/^ate_sent_bytes_total (\d+)$/m.exec(await metricsOf(first))![1])).toBeGreaterThan(1000)
  await first.close()
  const file = join(root, 'served/chains/notes/seg-000000.ate')
  const bytes = readFileSync(file)
  bytes[5000]! ^= 1
  writeFileSync(file, bytes)

  const told: ServerAlarm[] = []
  await using second = await serveHere({ observe: (alarm) => void told.push(alarm) })
  const options = { as, id: chain.id, serverKey: second.publicKey }
  const refused = await openChain(`${second.url}/notes`, options).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'DAMAGED' })
  expect(JSON.stringify(refused)).not.toContain(root)
  expect(told).toMatchObject([{ kind: 'alarm', chain: 'notes', error: { code: 'DAMAGED' } }])
  expect(await metricsOf(second)).toContain('ate_failures_total{code="DAMAGED"} 1\n')

  // What is asked for in vain is nothing that is wrong here.
  await expect(openChain(`${second.url}/none`, { as, serverKey: second.publicKey })).rejects.toMatchObject({
    code: 'CHAIN_NOT_FOUND',
  })
  expect(told).toHaveLength(1)
})

test('a place on the disk is told to no client', async () => {
  const as = await createIdentity()
  const told: ServerAlarm[] = []
  const observe = (alarm: ServerAlarm): void => {
    told.push(alarm)
    throw new Error('an observer that fails')
  }
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
  await using server = await serveHere({ data: join(root, 'held'), observe })
  const mine = await openChain(`${server.url}/mine`, { as, create: true, serverKey: server.publicKey })
  await mine.close()
  // Somebody else holds the folder where a chain would be.
  const other = await openChain(`file:${join(root, 'held/chains/other')}`, { as })
  const options = { as, id: other.id, serverKey: server.publicKey }
  const refused = await openChain(`${server.url}/other`, options).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'CHAIN_LOCKED' })
  expect(JSON.stringify((refused as AteError).facts) + (refused as AteError).message).not.toContain(root)
  expect(told.map(({ chain, error }) => [chain, error.code])).toEqual([['other', 'CHAIN_LOCKED']])
  expect((await warned).message).toBe('an observer that fails')
  await other.close()
})
