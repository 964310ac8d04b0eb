import { expect, test } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { defineType } from '../../src/data/entity-type.ts'
import type { OpenOptions } from '../../src/data/open-chain.ts'
import { parseAcknowledgement } from '../../src/event/acknowledgement.ts'
import type { AppendOptions, Durability, LogEngine, LogRecord } from '../../src/log/engine.ts'
import type { HostedChain } from '../../src/mesh/hosted-chain.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { platform as ownPlatform } from '../../src/node/platform.ts'
import { GatedEngine } from '../../src/testing/gated-engine.ts'
import { machine, someone, startServer } from './net-kit.ts'

const Note = defineType<string>('note')

interface Appended {
  readonly records: number
  readonly durability: Durability
}

/** Says that it is on a disk, and tells what it was asked for. */
function onDisk(inner: LogEngine, appended: Appended[]): LogEngine {
  let synced = -1
  const own = {
    durability: 'disk',
    durableSeq: () => synced,
    async append(batch: readonly LogRecord[], options: AppendOptions) {
      appended.push({ records: batch.length, durability: options.durability })
      await inner.append(batch, { ...options, durability: 'memory' })
      if (options.durability === 'disk') synced = inner.head()!.seq
      return { durability: options.durability }
    },
  }
  return new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(name in own ? own : target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

async function withChain(
  durability: Durability | undefined,
  run: (parts: { readonly appended: Appended[]; readonly hosted: HostedChain }) => Promise<void>,
): Promise<Appended[]> {
  const appended: Appended[] = []
  const engineOf = (engine: LogEngine): LogEngine => onDisk(engine, appended)
  await using server = await startServer({ engineOf, ...(durability ? { durability } : {}) })
  const me = someone()
  const options: OpenOptions = { as: me, serverKey: server.identity, create: true }
  await using chain = await openChain(`${server.url}/notes`, options, machine())
  const tx = chain.begin()
  tx.create(Note, 'milk')
  expect((await tx.commit()).durability).toBe(durability ?? 'disk')
  const hosted = await server.host.acquire('notes', { identity: me, admitCreate: async () => {} }, undefined)
  await run({ appended, hosted })
  server.host.release(hosted)
  await chain.close()
  await server.close()
  return appended
}

test('a server answers once its disk has a record, unless it was told to answer before', async () => {
  const all = await withChain(undefined, async ({ appended, hosted }) => {
    // Nothing is left to do.
    hosted.sequencer.sync()
    await hosted.sequencer.settled()
    expect(appended.every(({ records }) => records > 0)).toBe(true)
  })
  expect(all.every(({ durability }) => durability === 'disk')).toBe(true)
})

test('what the system alone has is synced behind it: in a while, before old bytes go, and at the end', async () => {
  const all = await withChain('os', async ({ appended, hosted }) => {
    expect(appended.at(-1)).toMatchObject({ durability: 'os' })
    expect(hosted.engine.durableSeq()).toBeLessThan(hosted.sequencer.head.seq)
    await hosted.durable()
    expect(appended.at(-1)).toEqual({ records: 0, durability: 'disk' })
    expect(hosted.engine.durableSeq()).toBe(hosted.sequencer.head.seq)
    await hosted.submit([], {})
    hosted.sequencer.sync()
    await hosted.sequencer.settled()
    expect(appended.at(-1)).toEqual({ records: 0, durability: 'disk' })
  })
  expect(all.at(-1)).toEqual({ records: 0, durability: 'disk' })
})

test('an acknowledgement is signed while the log stores, and shown to nobody before it has, nor if it fails', async () => {
  const { crypto } = ownPlatform
  let signed = 0
  const signer: typeof crypto.ed25519Signer = (seed) => {
    const { publicKey, sign } = crypto.ed25519Signer(seed)
    const counted = (message: Uint8Array): Uint8Array => {
      signed++
      return sign(message)
    }
    return { publicKey, sign: counted }
  }
  const counting = Object.create(crypto, { ed25519Signer: { value: signer } }) as typeof crypto
  const gates: GatedEngine[] = []
  await using server = await startServer({
    platform: Object.create(ownPlatform, { crypto: { value: counting } }) as typeof ownPlatform,
    engineOf(engine) {
      gates.push(new GatedEngine(engine))
      return gates.at(-1)!
    },
  })
  const me = someone()
  const options: OpenOptions = { as: me, serverKey: server.identity, create: true }
  const chain = await openChain(`${server.url}/notes`, options, machine())
  await chain.transact((tx) => tx.create(Note, 'milk'))
  const hosted = await server.host.acquire('notes', { identity: me, admitCreate: async () => {} }, undefined)
  const [gate, said, before] = [gates.at(-1)!, hosted.acknowledgement(), signed]
  gate.hold()
  gate.takeAppends()
  let isDone = false
  const bread = chain
    .transact((tx) => tx.create(Note, 'bread'))
    .finally(() => {
      isDone = true
    })
  await expect.poll(() => gate.appends.length).toBe(1)
  await expect.poll(() => signed).toBe(before + 1)
  expect([hosted.acknowledgement(), isDone]).toEqual([said, false])
  gate.release()
  await bread
  // What was signed is what is said: for this head no other signature is made.
  expect(parseAcknowledgement(hosted.acknowledgement()).hash).toEqual(hosted.sequencer.head.hash)
  expect(signed).toBe(before + 1)
  const last = hosted.acknowledgement()
  gate.failNext = new AteError('IO_ERROR', {})
  await expect(chain.transact((tx) => tx.create(Note, 'salt'))).rejects.toThrow()
  expect([signed, hosted.acknowledgement()]).toEqual([before + 2, last])
  server.host.release(hosted)
  await chain.close().catch(() => undefined)
})
