/** A server that shows two histories, or an older one, is found out, and the proof is good for others. */
import { describe, expect, test } from 'vitest'
import { AteError, isAteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { verifyEvidence } from '../../src/data/evidence.ts'
import type { MemoryStore } from '../../src/log/memory.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { recordsOf, slabsOf } from '../log/stored-records.ts'
import { until } from './kit.ts'
import { machine, someone, startServer } from './net-kit.ts'

const Note = defineType<{ text: string }>('note')

function copyOf(store: MemoryStore): MemoryStore {
  return { ...store, records: slabsOf(recordsOf(store)), keys: new Map(store.keys), written: false }
}

async function thrown(promise: Promise<unknown>): Promise<{ code: string; evidence: object | undefined }> {
  try {
    await promise
  } catch (error) {
    if (isAteError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const write = (chain: Chain, text: string) => chain.transact((tx) => tx.create(Note, { text }))

describe('a server that lies', () => {
  test('shows two members two histories: one exchange finds it out, and proves it', async () => {
    const me = someone()
    await using server = await startServer()
    const options = { as: me, serverKey: server.identity }
    await using a = await openChain(`${server.url}/notes`, { ...options, create: true }, machine())
    await write(a, 'both')
    await using other = await startServer({
      identity: server.identity,
      stores: new Map([['notes', copyOf(server.stores.get('notes')!)]]),
    })
    await using b = await openChain(`${other.url}/notes`, options, machine())
    expect(await b.compareHead(a.headStatement()!)).toBe('same')
    await write(a, 'left')
    await write(b, 'right')
    await write(b, 'more')
    expect(await a.compareHead(a.headStatement()!)).toBe('same')
    const error = await thrown(b.compareHead(a.headStatement()!))
    expect(error.code).toBe('FORK')
    const verified = verifyEvidence(error.evidence!, { chain: a.id })
    expect(verified).toMatchObject({ kind: 'fork', verdict: 'proof', strangers: [] })
    expect(verified.known).toMatchObject({ kind: 'acknowledgement', identity: server.identity.fingerprint })
    expect(await a.compareHead(b.headStatement()!).catch((e) => e.code)).toBe('behind')
  })

  test('takes the word of nobody else', async () => {
    const me = someone()
    await using server = await startServer()
    await using stranger = await startServer()
    await using a = await openChain(
      `${server.url}/notes`,
      { as: me, serverKey: server.identity, create: true },
      machine(),
    )
    await using b = await openChain(
      `${stranger.url}/notes`,
      { as: me, serverKey: stranger.identity, create: true },
      machine(),
    )
    const foreign = { ...JSON.parse(b.headStatement()!), chain: a.id }
    await expect(a.compareHead(b.headStatement()!)).rejects.toMatchObject({ code: 'WRONG_CHAIN' })
    await expect(a.compareHead(JSON.stringify(foreign))).rejects.toMatchObject({ code: 'BAD_PROOF' })
    await expect(a.compareHead('{}')).rejects.toMatchObject({ code: 'BAD_PROOF' })
  })

  test('goes back to an older copy: ROLLBACK with the proof, also while the chain is open', async () => {
    const me = someone()
    const server = await startServer()
    const options = { as: me, serverKey: server.identity }
    const here = machine()
    const a = await openChain(`${server.url}/notes`, { ...options, create: true }, here)
    await write(a, 'one')
    const backup = copyOf(server.stores.get('notes')!)
    await write(a, 'two')
    const { port } = new URL(server.url)
    await server.close()
    await using restored = await startServer({
      identity: server.identity,
      stores: new Map([['notes', backup]]),
      url: `ws://127.0.0.1:${port}/db`,
    })
    // What was on its way when the server went may be anywhere; what comes after that is told.
    let failed: Awaited<ReturnType<typeof thrown>>
    do
      failed = await thrown(
        write(a, 'three')
          .then(() => a.refresh())
          .then(() => Promise.reject(new AteError('OFFLINE'))),
      )
    while (failed.code === 'OFFLINE' || failed.code === 'INDETERMINATE')
    expect(failed.code).toBe('ROLLBACK')
    expect(verifyEvidence(failed.evidence!, { chain: a.id })).toMatchObject({ kind: 'rollback', verdict: 'proof' })
    await a.close()
    await until(() => restored.connections.size === 0, 'the end of the connection')
    const again = await thrown(openChain(`${restored.url}/notes`, options, here))
    expect(again.code).toBe('ROLLBACK')
    expect(verifyEvidence(again.evidence!, { chain: a.id })).toMatchObject({ kind: 'rollback', verdict: 'proof' })
  })
})
