/**
 * Several instances, and what becomes of calls when one of them vanishes, stalls or closes. An instance that stalls is one
 * that took a call and does nothing more: takeCall, and answerCall when it wakes up.
 */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import type { EntityId } from '../../src/base/ids.ts'
import type { Chain } from '../../src/data/chain.ts'
import { answerCall, giveBackCall, keepCall, type TakenCall, takeCall } from '../../src/data/service-calls.ts'
import type { MakeReply, ServiceCall } from '../../src/data/service-handling.ts'
import { invoke } from '../../src/data/service-invoke.ts'
import { foundService, LEASES, Lease, slotsOf } from '../../src/data/service-place.ts'
import type { Transaction } from '../../src/data/transaction.ts'
import { memoryEngine } from '../../src/log/memory.ts'
import { codeOf, errorOf, memoryChain, Note, open, person, turns } from './kit.ts'
import { gate, leaseCount, passUntil, placeOf, Shop, serveShop, slotValues } from './service-kit.ts'

const LEASE_MS = 3000

/** A request that waits, and the slot where it does. */
async function asked(chain: Chain, timeout = 60_000): Promise<{ reply: Promise<{ cents: number }>; slot: EntityId }> {
  await foundService(chain, Shop)
  const reply = invoke(chain, Shop).price({ item: 'tea' }, { timeout })
  reply.catch(() => undefined)
  await turns()
  return { reply, slot: slotsOf(chain, placeOf(chain))[0]! }
}

function take(chain: Chain, slot: EntityId): Promise<TakenCall | undefined> {
  return takeCall(chain, placeOf(chain), slot, LEASE_MS)
}

/** A reply with an effect that names who gave it. */
function replyBy(who: string, cents: number): MakeReply {
  return (tx) => {
    tx.create(Note, { text: who })
    return { state: 'answered', output: { cents } }
  }
}

/** The same of a handler. */
function withEffect(who: string, cents: number): (tx: Transaction) => { cents: number } {
  return (tx) => {
    tx.create(Note, { text: who })
    return { cents }
  }
}

async function effects(chain: Chain): Promise<string[]> {
  return (await chain.children(Note).page()).map(({ value }) => value.text)
}

describe('two instances', () => {
  it('that see one request: one takes it', async () => {
    await using kit = await memoryChain()
    const { slot } = await asked(kit.chain)
    const taken = await Promise.all([1, 2, 3].map(() => take(kit.chain, slot)))
    expect(taken.filter((one) => one !== undefined)).toHaveLength(1)
    expect(await take(kit.chain, slot)).toBeUndefined()
    expect(leaseCount(kit.chain)).toBe(1)
  })

  it('share the load, and each call is answered once', async () => {
    await using kit = await memoryChain()
    const held = gate()
    const ran = [0, 0]
    const instances = ran.map((_, i) =>
      serveShop(
        kit.chain,
        {
          price: async ({ item }) => {
            ran[i]!++
            await held.opened
            return (tx) => {
              tx.create(Note, { text: item })
              return { cents: i }
            }
          },
        },
        { concurrency: 5 },
      ),
    )
    await Promise.all(instances.map(({ ready }) => ready))
    const calls = Array.from({ length: 20 }, (_, i) => invoke(kit.chain, Shop).price({ item: `item ${i}` }))
    await turns()
    expect(ran).toEqual([5, 5])
    expect(instances.map(({ running }) => running)).toEqual([5, 5])
    held.open()
    await Promise.all(calls)
    expect(ran[0]! + ran[1]!).toBe(20)
    expect(new Set(await effects(kit.chain)).size).toBe(20)
    expect(await effects(kit.chain)).toHaveLength(20)
    for (const instance of instances) await instance.close()
  })

  it('that found the service at once found one', async () => {
    await using kit = await memoryChain()
    const instances = [1, 2, 3].map(() => serveShop(kit.chain))
    await Promise.all(instances.map(({ ready }) => ready))
    // The service and its lobby.
    expect(kit.chain.children(Note, undefined, 'service/shop').count()).toBe(2)
    for (const instance of instances) await instance.close()
  })
})

describe('an instance that stalls', () => {
  it('past its lease is overtaken, and neither its reply nor what goes with it lands', async () => {
    await using kit = await memoryChain()
    const { reply, slot } = await asked(kit.chain)
    const zombie = await take(kit.chain, slot)
    await using _ = serveShop(kit.chain, { price: () => withEffect('second', 2) })
    await turns()
    expect(await slotValues(kit.chain)).toMatchObject([{ state: 'asked' }])
    expect(await passUntil(kit.platform, reply)).toEqual({ cents: 2 })
    const error = await errorOf(answerCall(kit.chain, placeOf(kit.chain), zombie!, replyBy('zombie', 1)))
    expect(error.code).toBe('CALL_LOST')
    expect(await effects(kit.chain)).toEqual(['second'])
  })

  it('while the second is still at it does not land either', async () => {
    await using kit = await memoryChain()
    const { reply, slot } = await asked(kit.chain)
    const place = placeOf(kit.chain)
    const first = await take(kit.chain, slot)
    kit.platform.advance(LEASE_MS + 1)
    const second = await take(kit.chain, slot)
    expect(second).toBeDefined()
    expect(await codeOf(answerCall(kit.chain, place, first!, replyBy('first', 1)))).toBe('CALL_LOST')
    expect(await codeOf(keepCall(kit.chain, place, first!, LEASE_MS))).toBe('CALL_LOST')
    expect(await codeOf(giveBackCall(kit.chain, place, first!))).toBe('CALL_LOST')
    await answerCall(kit.chain, place, second!, replyBy('second', 2))
    expect(await reply).toEqual({ cents: 2 })
    expect(await effects(kit.chain)).toEqual(['second'])
  })

  it('and wakes up in the very moment of the takeover: one of the two lands', async () => {
    for (const order of ['zombie first', 'zombie last'] as const) {
      await using kit = await memoryChain()
      const { slot } = await asked(kit.chain)
      const place = placeOf(kit.chain)
      const zombie = await take(kit.chain, slot)
      kit.platform.advance(LEASE_MS - 1)
      const late = answerCall(kit.chain, place, zombie!, async (tx) => {
        // It has looked, and found the lease its own; then time passes.
        kit.platform.advance(2)
        if (order === 'zombie last') await take(kit.chain, slot)
        return replyBy('zombie', 1)(tx)
      })
      const code = await codeOf(late)
      const second = await take(kit.chain, slot)
      if (order === 'zombie first') {
        expect(code).toBe('nothing was thrown')
        expect(second).toBeUndefined()
        expect(await effects(kit.chain)).toEqual(['zombie'])
      } else {
        expect(code).toBe('CALL_LOST')
        expect(await effects(kit.chain)).toEqual([])
      }
    }
  })

  it('whose lease nobody took over has lost it all the same', async () => {
    await using kit = await memoryChain()
    const { slot } = await asked(kit.chain)
    const zombie = await take(kit.chain, slot)
    kit.platform.advance(LEASE_MS + 1)
    expect(await codeOf(answerCall(kit.chain, placeOf(kit.chain), zombie!, replyBy('zombie', 1)))).toBe('CALL_LOST')
    expect(await effects(kit.chain)).toEqual([])
  })

  it('is not overtaken before the time of the chain says so, whatever an instance thinks', async () => {
    await using kit = await memoryChain()
    const { reply, slot } = await asked(kit.chain)
    const first = await take(kit.chain, slot)
    // Monotonic time has passed, but records are stamped by a clock that was set back: the log decides.
    const wall = kit.platform.environment.clock.now()
    kit.platform.advance(LEASE_MS + 10)
    kit.platform.setWallClock(wall)
    expect(await take(kit.chain, slot)).toBeUndefined()
    kit.platform.setWallClock(wall + LEASE_MS + 10)
    expect(await take(kit.chain, slot)).toBeDefined()
    expect(await codeOf(answerCall(kit.chain, placeOf(kit.chain), first!, replyBy('first', 1)))).toBe('CALL_LOST')
    void reply
  })

  it('finds its slot with the next call of the caller in it, and leaves that alone', async () => {
    await using kit = await memoryChain()
    const { reply, slot } = await asked(kit.chain, 5000)
    const zombie = await takeCall(kit.chain, placeOf(kit.chain), slot, 3_600_000)
    expect(await codeOf(passUntil(kit.platform, reply))).toBe('TIMEOUT')
    const next = invoke(kit.chain, Shop).price({ item: 'next' })
    await turns()
    expect(slotsOf(kit.chain, placeOf(kit.chain))).toEqual([slot])
    expect(await codeOf(answerCall(kit.chain, placeOf(kit.chain), zombie!, replyBy('zombie', 1)))).toBe('CALL_LOST')
    // Its lease is of a call that is over: nobody waits for the end of it.
    const taken = await take(kit.chain, slot)
    expect(taken?.input).toEqual({ item: 'next' })
    expect(await codeOf(answerCall(kit.chain, placeOf(kit.chain), zombie!, replyBy('zombie', 1)))).toBe('CALL_LOST')
    await answerCall(kit.chain, placeOf(kit.chain), taken!, replyBy('second', 2))
    expect(await next).toEqual({ cents: 2 })
    expect(await effects(kit.chain)).toEqual(['second'])
  })
})

describe('an instance at work', () => {
  it('renews its lease as long as its handler runs', async () => {
    await using kit = await memoryChain()
    const held = gate()
    let ran = 0
    const price = async (): Promise<{ cents: number }> => {
      ran++
      await held.opened
      return { cents: ran }
    }
    const instances = [1, 2].map(() => serveShop(kit.chain, { price }, { lease: LEASE_MS }))
    const reply = invoke(kit.chain, Shop).price({ item: 'tea' })
    for (let i = 0; i < 20; i++) {
      await turns(3)
      kit.platform.advance(1000)
    }
    await turns()
    held.open()
    expect(await reply).toEqual({ cents: 1 })
    for (const instance of instances) await instance.close()
  })

  it('hears at its next renewal that another has taken over', async () => {
    await using kit = await memoryChain()
    const reasons: unknown[] = []
    const price = (__: unknown, { signal }: ServiceCall): Promise<never> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(reasons.push(signal.reason))))
    const { reply, slot } = await asked(kit.chain)
    const served = serveShop(kit.chain, { price }, { lease: LEASE_MS })
    await served.ready
    await turns()
    expect(served.running).toBe(1)
    const { service: parent } = placeOf(kit.chain)
    const lease = await kit.chain.named(Lease, slot, { parent, in: LEASES })
    await kit.chain.transact((tx) => tx.put(Lease, slot, { ...lease!.value, token: 'other' }, { parent, in: LEASES }))
    kit.platform.advance(LEASE_MS / 3)
    await turns()
    expect(reasons).toMatchObject([{ code: 'CALL_LOST', facts: { why: 'taken over' } }])
    expect(served.running).toBe(0)
    await served.close()
    void reply
  })

  it('hears that nobody waits any more, also if the caller cannot say so', async () => {
    const kit = await memoryChain()
    const { reply } = await asked(kit.chain, 10_000)
    await kit.chain.close()
    await codeOf(reply)
    const chain = await open(memoryEngine(kit.store), { as: person('alice'), id: kit.chain.id }, kit.platform)
    const reasons: unknown[] = []
    const price = (__: unknown, { signal }: ServiceCall): Promise<never> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(reasons.push(signal.reason))))
    const served = serveShop(chain, { price })
    await served.ready
    await turns()
    expect(served.running).toBe(1)
    for (let i = 0; i < 16; i++) {
      kit.platform.advance(1000)
      await turns(3)
    }
    expect(reasons).toMatchObject([{ code: 'CALL_LOST', facts: { why: 'expired' } }])
    expect(served.running).toBe(0)
    await served.close()
    await chain.close()
  })

  it('that closes waits for its handlers, and takes nothing more', async () => {
    await using kit = await memoryChain()
    const held = gate()
    const served = serveShop(kit.chain, { price: () => held.opened.then(() => ({ cents: 1 })) })
    const first = invoke(kit.chain, Shop).price({ item: 'tea' })
    await served.ready
    await turns()
    const closed = served.close()
    const second = invoke(kit.chain, Shop).price({ item: 'coffee' }, { timeout: '2s' })
    await turns()
    held.open()
    expect(await first).toEqual({ cents: 1 })
    await closed
    expect(served.running).toBe(0)
    expect(await codeOf(passUntil(kit.platform, second))).toBe('TIMEOUT')
    await served.close()
  })

  it('that closes with handlers that do not end gives their calls to others at once', async () => {
    await using kit = await memoryChain()
    const reasons: unknown[] = []
    const stuck = serveShop(
      kit.chain,
      {
        price: (_, { signal }) =>
          new Promise(() => signal.addEventListener('abort', () => reasons.push(signal.reason))),
      },
      { grace: '2s' },
    )
    const reply = invoke(kit.chain, Shop).price({ item: 'tea' })
    await stuck.ready
    await turns()
    await using other = serveShop(kit.chain)
    await other.ready
    const closed = stuck.close()
    await turns()
    kit.platform.advance(2000)
    await closed
    // No lease ran out, and nobody had to look round.
    expect(await reply).toEqual({ cents: 3 })
    expect(reasons).toMatchObject([{ code: 'CALL_LOST', facts: { why: 'closing' } }])
  })

  it('that closes says nothing of a call whose handler fails because of that', async () => {
    await using kit = await memoryChain()
    const seen: unknown[] = []
    const stuck = serveShop(
      kit.chain,
      {
        price: (_, { signal }) =>
          new Promise((__, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
      },
      { grace: 0, onError: (error) => seen.push(error) },
    )
    const reply = invoke(kit.chain, Shop).price({ item: 'tea' })
    await stuck.ready
    await turns()
    const closed = stuck.close()
    await turns()
    kit.platform.advance(1)
    await closed
    expect(await slotValues(kit.chain)).toMatchObject([{ state: 'asked' }])
    expect(leaseCount(kit.chain)).toBe(0)
    await using _ = serveShop(kit.chain)
    expect(await reply).toEqual({ cents: 3 })
    expect(seen).toEqual([])
  })

  it('closes with its signal, and before it has begun', async () => {
    await using kit = await memoryChain()
    const stop = new AbortController()
    const served = serveShop(kit.chain, {}, { signal: stop.signal })
    expect(await invoke(kit.chain, Shop).price({ item: 'tea' })).toEqual({ cents: 3 })
    stop.abort()
    const call = invoke(kit.chain, Shop).price({ item: 'tea' }, { timeout: '2s' })
    expect(await codeOf(passUntil(kit.platform, call))).toBe('TIMEOUT')
    await served.close()
    const never = serveShop(kit.chain, {}, { signal: AbortSignal.abort() })
    await never.ready
    const early = serveShop(kit.chain)
    await early.close()
    expect([never.running, early.running]).toEqual([0, 0])
  })
})

describe('a crash', () => {
  it('in the middle of a handler: the next process answers when the lease has run out, and effects are there once', async () => {
    const kit = await memoryChain()
    let ran = 0
    const served = serveShop(kit.chain, {
      price: () => {
        ran++
        return new Promise(() => undefined)
      },
    })
    const call = invoke(kit.chain, Shop).price({ item: 'tea' }, { timeout: '1h' })
    call.catch(() => undefined)
    await served.ready
    await turns()
    // The process is gone: nothing is given back.
    await kit.chain.close()
    expect(await codeOf(call)).toBe('CHAIN_CLOSED')
    const chain = await open(memoryEngine(kit.store), { as: person('alice'), id: kit.chain.id }, kit.platform)
    const second = serveShop(chain, {
      price: () => {
        ran++
        return withEffect('once', 9)
      },
    })
    await second.ready
    await turns()
    expect(ran).toBe(1)
    for (let i = 0; i < 10; i++) {
      kit.platform.advance(10_000)
      await turns()
    }
    expect(ran).toBe(2)
    expect(await effects(chain)).toEqual(['once'])
    expect(await slotValues(chain)).toMatchObject([{ state: 'answered', output: { cents: 9 } }])
    await second.close()
    await chain.close()
  })

  it('of the disk: a reply that was not stored is not there, and the call is answered later', async () => {
    await using kit = await memoryChain()
    const held = gate()
    const errors: unknown[] = []
    await using _ = serveShop(
      kit.chain,
      { price: () => held.opened.then(() => withEffect('once', 1)) },
      { lease: LEASE_MS, onError: (error) => errors.push(error) },
    )
    const reply = invoke(kit.chain, Shop).price({ item: 'tea' })
    await turns()
    kit.engine.failNext = new AteError('DISK_FULL', {})
    held.open()
    await turns()
    expect(errors).toMatchObject([{ code: 'DISK_FULL' }])
    expect(await effects(kit.chain)).toEqual([])
    expect(await passUntil(kit.platform, reply)).toEqual({ cents: 1 })
    expect(await effects(kit.chain)).toEqual(['once'])
  })
})
