/**
 * Two programs that talk over a chain of a server: a thousand requests, each answered once, with every answer awaited,
 * over a wire that seals nothing, over the sealed wire, and over the sealed wire inside TLS.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Chain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import type { OpenOptions } from '../../src/data/open-chain.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import type { ServeOptions } from '../../src/mesh/serve-options.ts'
import { serve } from '../../src/node/serve.ts'
import { certificate } from './certificate.ts'
import { machine, someone } from './net-kit.ts'

const COUNT = 1000
const Ping = defineType<{ text: string }>('ping')
const Pong = defineType<{ text: string; of: string }>('pong')

const WIRES: readonly {
  readonly name: string
  readonly server: () => Omit<ServeOptions, 'data'>
  readonly client: () => OpenOptions
}[] = [
  {
    name: 'a wire that seals nothing',
    server: () => ({ listen: 'ws://127.0.0.1:0/comms', wireEncryption: 'off' }),
    client: () => ({ wire: 'plain' }),
  },
  { name: 'the sealed wire', server: () => ({ listen: 'ws://127.0.0.1:0/comms' }), client: () => ({}) },
  {
    name: 'the sealed wire inside TLS',
    server: () => ({ listen: 'wss://localhost:0/comms', tls: certificate() }),
    client: () => ({ ca: certificate().cert }),
  },
]

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-comms-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Answers each ping as it comes, until the chain is closed. */
async function answer(chain: Chain): Promise<number> {
  let count = 0
  const answers: Promise<unknown>[] = []
  for await (const { kind, id } of chain.watch({ type: Ping })) {
    if (kind !== 'created') continue
    const { value } = await chain.load(Ping, id)
    answers.push(chain.transact((tx) => void tx.create(Pong, { text: value.text, of: id })))
    if (++count === COUNT) break
  }
  await Promise.all(answers)
  return count
}

/** Resolves with the answers, by what they answer, once each has come. */
async function collect(chain: Chain, into: Map<string, string[]>): Promise<void> {
  let count = 0
  for await (const { id } of chain.watch({ type: Pong })) {
    const { value } = await chain.load(Pong, id)
    into.set(value.of, [...(into.get(value.of) ?? []), value.text])
    if (++count === COUNT) break
  }
}

describe.each(WIRES)('over $name', ({ name, server: served, client }) => {
  test(`each of ${COUNT} pings is answered once, and each answer arrives`, async () => {
    await using server = await serve({ ...served(), data: join(root, name) })
    const as = someone()
    const options = { as, serverKey: server.publicKey, ...client() }
    const caller = await openChain(`${server.url}/talk`, { ...options, create: true }, machine())
    const responder = await openChain(`${server.url}/talk`, { ...options, id: caller.id }, machine())
    const answering = answer(responder)
    const answers = new Map<string, string[]>()
    const collecting = collect(caller, answers)
    const pings = await Promise.all(
      Array.from({ length: COUNT }, (_, i) => caller.transact((tx) => tx.create(Ping, { text: `hello ${i}` }))),
    )
    expect(await answering).toBe(COUNT)
    await collecting
    for (const [i, { id }] of pings.entries()) expect(answers.get(id)).toEqual([`hello ${i}`])
    await caller.close()
    await responder.close()
  })
})

test('who offers a sealed wire gets one, whatever the server allows; plain is for who asks, and for loopback', async () => {
  await using server = await serve({ listen: 'ws://127.0.0.1:0/comms', data: join(root, 'sealed') })
  const options = { as: someone(), serverKey: server.publicKey, create: true, wire: 'plain' } as const
  // A server that seals is answered with seals.
  await using chain = await openChain(`${server.url}/talk`, options, machine())
  await chain.transact((tx) => void tx.create(Ping, { text: 'sealed' }))
  await expect(openChain('ws://example.com:1/db/talk', options, machine())).rejects.toMatchObject({
    code: 'BAD_ARGUMENT',
  })
})
