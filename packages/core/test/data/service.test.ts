import { describe, expect, expectTypeOf, it } from 'vitest'
import type { AteError } from '../../src/base/errors.ts'
import { SERVICE_CALLS_MAX } from '../../src/base/limits.ts'
import { service } from '../../src/data/service.ts'
import type { ServiceCall } from '../../src/data/service-handling.ts'
import { invoke } from '../../src/data/service-invoke.ts'
import { DESKS, Desk, foundService, Service, Slot, slotsOf } from '../../src/data/service-place.ts'
import { defineService, isServiceError, ServiceError } from '../../src/data/service-type.ts'
import type { StandardSchema } from '../../src/data/standard-schema.ts'
import { memoryEngine } from '../../src/log/memory.ts'
import { codeOf, coreOf, errorOf, memoryChain, Note, open, person, quickPlatform, Thing, turns } from './kit.ts'
import { gate, leaseCount, passUntil, placeOf, Shop, serveShop, slotValues } from './service-kit.ts'

describe('a call', () => {
  it('is answered, and founding, the first desk and the handler know each other', async () => {
    await using kit = await memoryChain()
    const calls: ServiceCall[] = []
    await using _ = serveShop(kit.chain, {
      price: ({ item }, call) => {
        calls.push(call)
        return { cents: item.length }
      },
    })
    // Before the service is founded: it waits.
    expect(await invoke(kit.chain, Shop).price({ item: 'tea' })).toEqual({ cents: 3 })
    expect(await invoke(kit.chain, Shop).ping()).toBeUndefined()
    expect(calls).toHaveLength(1)
    expect(calls[0]!.caller).toBe(person('alice').fingerprint)
    expect(calls[0]!.procedure).toBe('price')
    expect(calls[0]!.signal.aborted).toBe(false)
    expect(calls[0]!.deadline).toBeGreaterThan(kit.chain.now)
  })

  it('of many at once gets its own reply', async () => {
    await using kit = await memoryChain()
    await using _ = serveShop(kit.chain, {}, { concurrency: 3 })
    const shop = invoke(kit.chain, Shop)
    const replies = await Promise.all(Array.from({ length: 100 }, (_, i) => shop.price({ item: 'x'.repeat(i) })))
    expect(replies.map(({ cents }) => cents)).toEqual(Array.from({ length: 100 }, (_, i) => i))
  })

  it('takes two commits and a light one for the lease, and leaves nothing that grows', async () => {
    await using kit = await memoryChain()
    await using _ = serveShop(kit.chain)
    const shop = invoke(kit.chain, Shop)
    await shop.ping()
    const { view } = kit.core.replica
    const before = { rows: view.table.rows, policies: view.policies.length, epochs: kit.core.replica.trust.epochs.size }
    await turns()
    kit.engine.takeAppends()
    for (let i = 0; i < 50; i++) await shop.ping()
    expect(kit.engine.takeAppends()).toHaveLength(150)
    kit.platform.advance(1500)
    await turns()
    for (let i = 0; i < 50; i++) await shop.ping()
    expect({
      rows: view.table.rows,
      policies: view.policies.length,
      epochs: kit.core.replica.trust.epochs.size,
    }).toEqual(before)
    expect(leaseCount(kit.chain)).toBe(0)
  })

  it('has its reply removed after it was read', async () => {
    await using kit = await memoryChain()
    await using _ = serveShop(kit.chain)
    await Promise.all([1, 2, 3].map(() => invoke(kit.chain, Shop).price({ item: 'secret' })))
    expect(await slotValues(kit.chain)).toHaveLength(3)
    kit.platform.advance(1100)
    await turns()
    expect(await slotValues(kit.chain)).toHaveLength(0)
    // And the slots go on.
    expect(await invoke(kit.chain, Shop).price({ item: 'again' })).toEqual({ cents: 5 })
  })

  it('waits for a slot when all are taken, and is refused when too many wait', async () => {
    await using kit = await memoryChain()
    const held = gate()
    await using _ = serveShop(kit.chain, { ping: () => held.opened }, { concurrency: 4096 })
    const shop = invoke(kit.chain, Shop)
    const calls = Array.from({ length: SERVICE_CALLS_MAX + 5 }, () => shop.ping())
    const stop = new AbortController()
    const aborted = shop.ping(undefined, { signal: stop.signal }).catch((error) => error)
    await turns()
    expect(await slotValues(kit.chain)).toHaveLength(SERVICE_CALLS_MAX)
    stop.abort(new Error('enough'))
    expect(await aborted).toEqual(new Error('enough'))
    held.open()
    await Promise.all(calls)
    expect(await slotValues(kit.chain)).toHaveLength(SERVICE_CALLS_MAX)
  })

  it('of a service without schemas takes and gives anything', async () => {
    await using kit = await memoryChain()
    const Echo = defineService<{ echo: (value: { n: number }) => { n: number }; hello: () => string }>('echo')
    await using _ = service(kit.chain, Echo, { echo: (value) => value, hello: () => 'hello' })
    const client = invoke(kit.chain, Echo)
    expect(await client.echo({ n: 1 })).toEqual({ n: 1 })
    expect(await client.hello()).toBe('hello')
    expect(await codeOf((client as never as { bye(): Promise<void> }).bye())).toBe('NO_PROCEDURE')
    // A client is not taken for a promise.
    expect(await client).toBeDefined()
  })

  it('stands below another entity if it is told to', async () => {
    await using kit = await memoryChain()
    const parent = await kit.chain.transact((tx) => tx.create(Thing, null))
    await using _ = serveShop(kit.chain, {}, { parent })
    expect(await invoke(kit.chain, Shop, { parent }).price({ item: 'tea' })).toEqual({ cents: 3 })
    expect(kit.chain.children(Service, undefined, 'service/shop').count()).toBe(0)
  })
})

/** A schema that makes something else of a value; undefined refuses it. */
function schemaOf<Input, Output>(
  make: (value: Record<string, unknown>) => Output | undefined,
): StandardSchema<Input, Output> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      // Asynchronous, as it may be here.
      validate: async (value) => {
        const made = make(value as Record<string, unknown>)
        return made === undefined ? { issues: [{ message: 'refused' }] } : { value: made }
      },
    },
  }
}

function readAt({ at }: Record<string, unknown>): { at: number } | undefined {
  return typeof at === 'string' ? { at: Number(at) } : undefined
}

function fillN({ n = 1 }: Record<string, unknown>): { n: number } | undefined {
  return typeof n === 'number' ? { n } : undefined
}

describe('types', () => {
  const Typed = defineService('typed', {
    parse: {
      input: schemaOf<{ at: string }, { at: number }>(readAt),
      output: schemaOf<{ n?: number }, { n: number }>(fillN),
    },
    ping: {},
  })
  const Plain = defineService<{ greet: (input: { name: string }) => Promise<{ text: string }>; now: () => number }>(
    'plain',
  )

  it('of schemas differ between the two sides', async () => {
    await using kit = await memoryChain()
    await using _ = service(kit.chain, Typed, {
      parse: ({ at }) => {
        expectTypeOf(at).toEqualTypeOf<number>()
        return at > 1 ? { n: at } : {}
      },
      ping: async () => {},
    })
    const client = invoke(kit.chain, Typed)
    expectTypeOf(client.parse).parameter(0).toEqualTypeOf<{ at: string }>()
    expectTypeOf(client.parse({ at: '2' })).resolves.toEqualTypeOf<{ n: number }>()
    expectTypeOf(client.ping()).resolves.toEqualTypeOf<undefined>()
    // @ts-expect-error a number is not what is sent
    expect(await codeOf(client.parse({ at: 2 }))).toBe('BAD_VALUE')
    // Transformed once, and filled in once.
    expect(await client.parse({ at: '7' })).toEqual({ n: 7 })
    expect(await client.parse({ at: '0' })).toEqual({ n: 1 })
    // @ts-expect-error a procedure that takes nothing
    expect(await codeOf(client.ping({ any: 'thing' }))).toBe('BAD_VALUE')
  })

  it('of functions are those of the client', async () => {
    await using kit = await memoryChain()
    const client = invoke(kit.chain, Plain)
    expectTypeOf(client.greet).parameter(0).toEqualTypeOf<{ name: string }>()
    expectTypeOf(client.greet).returns.resolves.toEqualTypeOf<{ text: string }>()
    expectTypeOf(client.now).returns.resolves.toEqualTypeOf<number>()
    // @ts-expect-error a handler is missing
    const missing = (): unknown => service(kit.chain, Plain, { greet: ({ name }) => ({ text: name }) })
    // @ts-expect-error the reply is of another type
    const wrong = (): unknown => service(kit.chain, Plain, { greet: () => ({ text: 1 }), now: () => 1 })
    expect([missing, wrong]).toHaveLength(2)
  })

  it.each([
    ['', {}],
    ['ate:own', {}],
    ['shop', Object.fromEntries([['then', {}]])],
    ['shop', { '': {} }],
    ['shop', { price: null }],
    ['shop', { price: { input: {} } }],
  ])('refuse %j with %j', async (name, procedures) => {
    expect(await codeOf(() => defineService(name, procedures as never))).toMatch(/^(BAD_ARGUMENT|RESERVED_NAME)$/)
  })

  it('refuse handlers that are missing, and numbers that make no sense', async () => {
    await using kit = await memoryChain()
    expect(await codeOf(() => service(kit.chain, Shop, { ping: () => undefined } as never))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => serveShop(kit.chain, {}, { concurrency: 0 }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => serveShop(kit.chain, {}, { concurrency: 1e6 }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(invoke(kit.chain, Shop).ping(undefined, { timeout: 0 }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(invoke(kit.chain, Shop).ping(undefined, { timeout: '13h' }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => invoke({} as never, Shop))).toBe('BAD_ARGUMENT')
  })
})

describe('what goes wrong', () => {
  it('in a handler on purpose is told with its reason', async () => {
    await using kit = await memoryChain()
    await using _ = serveShop(kit.chain, {
      price: () => {
        throw new ServiceError('SOLD_OUT', 'come back tomorrow')
      },
    })
    const error = await errorOf(invoke(kit.chain, Shop).price({ item: 'tea' }))
    expect(isServiceError(error) && [error.reason, error.text]).toEqual(['SOLD_OUT', 'come back tomorrow'])
    expect(error.facts['service']).toBe('shop')
    expect(error.facts['call']).toHaveLength(26)
    expect(await codeOf(() => new ServiceError(''))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => new ServiceError('x'.repeat(65)))).toBe('BAD_ARGUMENT')
    expect(new ServiceError('X', 'y'.repeat(5000)).text).toHaveLength(1024)
  })

  it('in a handler by mistake is told without what it was', async () => {
    await using kit = await memoryChain()
    const seen: unknown[] = []
    await using _ = serveShop(
      kit.chain,
      { ping: () => Promise.reject(new Error('password is hunter2')) },
      { onError: (error, call) => seen.push([String(error), call?.procedure]) },
    )
    const error = await errorOf(invoke(kit.chain, Shop).ping())
    expect(error.code).toBe('HANDLER_FAILED')
    expect(JSON.stringify([error.message, error.facts])).not.toContain('hunter2')
    expect(JSON.stringify(await slotValues(kit.chain))).not.toContain('hunter2')
    expect(seen).toEqual([['Error: password is hunter2', 'ping']])
  })

  it('is a warning of the process where nobody listens, also if the listener throws', async () => {
    await using kit = await memoryChain()
    const ping = (): never => {
      throw new Error('mistake')
    }
    await using _ = serveShop(kit.chain, { ping })
    await codeOf(invoke(kit.chain, Shop).ping())
    expect(kit.platform.warnings.map(String)).toEqual(['Error: mistake'])
    await _.close()
    const onError = (): never => {
      throw new Error('listener')
    }
    await using __ = serveShop(kit.chain, { ping }, { onError })
    await codeOf(invoke(kit.chain, Shop).ping())
    expect(kit.platform.warnings.map(String)).toEqual(['Error: mistake', 'Error: listener'])
  })

  it('with an input is said before anything is written', async () => {
    await using kit = await memoryChain()
    await using served = serveShop(kit.chain)
    await served.ready
    const { records } = kit.chain.stats()
    const error = await errorOf(invoke(kit.chain, Shop).price({ item: 7 as never }))
    expect([error.code, error.facts['path'], error.facts['by']]).toEqual(['BAD_VALUE', 'item', undefined])
    expect(await codeOf(invoke(kit.chain, Shop).price({ item: 'x', run: () => 1 } as never))).toBe('BAD_VALUE')
    expect(await codeOf(invoke(kit.chain, Shop).price({ item: 'x'.repeat(1 << 20) }))).toBe('VALUE_TOO_LARGE')
    // The desk, and nothing else.
    expect(kit.chain.stats().records).toBeLessThanOrEqual(records + 1)
  })

  it('with an input is said by the service too, to whom does not check', async () => {
    await using kit = await memoryChain()
    await using _ = serveShop(kit.chain)
    const Blind = defineService<{ price: (input: unknown) => unknown; ping: (input: unknown) => unknown }>('shop')
    const error = await errorOf(invoke(kit.chain, Blind).price({ item: 7 }))
    expect([error.code, error.facts['path'], error.facts['by']]).toEqual(['BAD_VALUE', 'item', 'service'])
    expect(await codeOf(invoke(kit.chain, Blind).ping({ any: 'thing' }))).toBe('BAD_VALUE')
  })

  it('with an output is the fault of the service', async () => {
    await using kit = await memoryChain()
    const seen: AteError[] = []
    await using _ = serveShop(
      kit.chain,
      { price: ({ item }) => (item === 'late' ? () => ({ cents: 'x' as never }) : { cents: item as never }) },
      { onError: (error) => seen.push(error as AteError) },
    )
    for (const item of ['tea', 'late'])
      expect(await codeOf(invoke(kit.chain, Shop).price({ item }))).toBe('HANDLER_FAILED')
    expect(seen.map(({ code, facts }) => [code, facts['path']])).toEqual([
      ['BAD_VALUE', 'cents'],
      ['BAD_VALUE', 'cents'],
    ])
  })

  it('with a reply that is too large is said as such', async () => {
    await using kit = await memoryChain()
    const Big = defineService<{ big: () => string }>('big')
    await using _ = service(kit.chain, Big, { big: () => 'x'.repeat(1 << 20) }, { onError: () => undefined })
    const error = await errorOf(invoke(kit.chain, Big).big())
    expect([error.code, error.facts['by']]).toEqual(['VALUE_TOO_LARGE', 'service'])
  })

  it('with a procedure that is not there is said by its name', async () => {
    await using kit = await memoryChain()
    await using _ = serveShop(kit.chain)
    const Newer = defineService('shop', { refund: {}, constructor: {} })
    for (const name of ['refund', 'constructor'] as const) {
      const error = await errorOf(invoke(kit.chain, Newer)[name]())
      expect([error.code, error.facts['procedure']]).toEqual(['NO_PROCEDURE', name])
    }
  })
})

describe('a call that is given up', () => {
  it('times out when nobody serves, and is withdrawn', async () => {
    await using kit = await memoryChain()
    await foundService(kit.chain, Shop)
    const call = invoke(kit.chain, Shop).ping(undefined, { timeout: '5s' })
    const error = await errorOf(passUntil(kit.platform, call))
    expect([error.code, error.facts['state'], error.facts['timeoutMs']]).toEqual(['TIMEOUT', 'not taken', 5000])
    expect(await slotValues(kit.chain)).toEqual([{ state: 'free' }])
    let ran = 0
    await using served = serveShop(kit.chain, { ping: () => void ran++ })
    await served.ready
    await turns()
    expect(ran).toBe(0)
  })

  it('says that nobody founded the service', async () => {
    await using kit = await memoryChain()
    expect(await codeOf(passUntil(kit.platform, invoke(kit.chain, Shop).ping(undefined, { timeout: '5s' })))).toBe(
      'NO_SERVICE',
    )
  })

  it('times out while a handler is at it: nothing of that lands, and the handler hears of it', async () => {
    await using kit = await memoryChain()
    const held = gate()
    let signal: AbortSignal | undefined
    await using _ = serveShop(kit.chain, {
      ping: async (_, call) => {
        signal = call.signal
        await held.opened
        return (tx) => void tx.create(Note, { text: 'effect' })
      },
    })
    const error = await errorOf(passUntil(kit.platform, invoke(kit.chain, Shop).ping(undefined, { timeout: '5s' })))
    expect([error.code, error.facts['state']]).toEqual(['TIMEOUT', 'taken'])
    await turns()
    expect(signal?.reason).toMatchObject({ code: 'CALL_LOST', facts: { why: 'withdrawn' } })
    // A handler that does not listen holds up nobody, not even in its own slot.
    expect(await invoke(kit.chain, Shop).price({ item: 'tea' })).toEqual({ cents: 3 })
    expect(await slotValues(kit.chain)).toHaveLength(1)
    await turns()
    expect(_.running).toBe(1)
    held.open()
    await turns()
    expect(kit.chain.children(Note).count()).toBe(0)
    // The slot is good for the next call at once, whatever lease is left in it.
    expect(await invoke(kit.chain, Shop).price({ item: 'tea' })).toEqual({ cents: 3 })
  })

  it('rejects with the reason of its signal, at each stage', async () => {
    await using kit = await memoryChain()
    const reason = new Error('changed my mind')
    const aborted = AbortSignal.abort(reason)
    const shop = invoke(kit.chain, Shop)
    expect(await shop.ping(undefined, { signal: aborted }).catch((error) => error)).toBe(reason)
    for (const stage of ['before founding', 'before taking', 'while running'] as const) {
      const stop = new AbortController()
      const held = gate()
      const rejected = shop.ping(undefined, { signal: stop.signal }).catch((error) => error)
      await turns()
      if (stage === 'before taking') await foundService(kit.chain, Shop)
      const served = stage === 'while running' ? serveShop(kit.chain, { ping: () => held.opened }) : undefined
      await served?.ready
      await turns()
      stop.abort(reason)
      expect(await rejected).toBe(reason)
      await turns()
      held.open()
      await served?.close()
    }
    expect(await slotValues(kit.chain)).toEqual([{ state: 'free' }])
  })

  it('takes a reply that came at the last moment', async () => {
    await using kit = await memoryChain()
    const held = gate()
    await using _ = serveShop(kit.chain, { price: () => held.opened.then(() => ({ cents: 1 })) })
    const call = invoke(kit.chain, Shop).price({ item: 'tea' }, { timeout: '5s' })
    await turns()
    // The reply is staged and on its way when the time is over: the withdrawal finds it.
    kit.engine.hold()
    held.open()
    await turns()
    kit.platform.advance(5000)
    kit.engine.release()
    expect(await call).toEqual({ cents: 1 })
  })

  it('says unknown when the withdrawal does not get through', async () => {
    await using kit = await memoryChain()
    await foundService(kit.chain, Shop)
    await codeOf(passUntil(kit.platform, invoke(kit.chain, Shop).ping(undefined, { timeout: '5s' })))
    const call = invoke(kit.chain, Shop).ping(undefined, { timeout: '5s' })
    await turns()
    kit.engine.hold()
    const error = await errorOf(passUntil(kit.platform, call))
    expect([error.code, error.facts['state']]).toEqual(['TIMEOUT', 'unknown'])
    kit.engine.release()
    await turns()
    expect((await slotValues(kit.chain)).every((value) => value?.state === 'free')).toBe(true)
  })

  it('does not take the reply of the call before it in its slot', async () => {
    await using kit = await memoryChain()
    const held = gate()
    await using _ = serveShop(kit.chain, {
      price: async ({ item }) => {
        if (item === 'second') await held.opened
        return { cents: item.length }
      },
    })
    const shop = invoke(kit.chain, Shop)
    expect(await shop.price({ item: 'a' })).toEqual({ cents: 1 })
    const [slot] = slotsOf(kit.chain, placeOf(kit.chain))
    kit.engine.hold()
    // Something happens to the slot while the next request is on its way, and the old reply still stands there.
    const touched = kit.chain.transact((tx) => tx.expire(slot!, { ttl: '1h' }))
    await turns()
    const second = shop.price({ item: 'second' })
    kit.engine.release()
    await touched
    await turns()
    held.open()
    expect(await second).toEqual({ cents: 6 })
  })

  it('is answered again in a slot whose instance has only just written the reply before', async () => {
    await using kit = await memoryChain()
    await using _ = serveShop(kit.chain, {}, { concurrency: 1 })
    const shop = invoke(kit.chain, Shop)
    for (let i = 0; i < 30; i++) expect(await shop.price({ item: 'x'.repeat(i) })).toEqual({ cents: i })
    expect(await slotValues(kit.chain)).toHaveLength(1)
  })

  it('ends with the chain', async () => {
    const kit = await memoryChain()
    await foundService(kit.chain, Shop)
    const calls = [1, 2].map(() =>
      invoke(kit.chain, Shop)
        .ping()
        .catch((error) => error.code),
    )
    await turns()
    await kit.chain.close()
    expect(await Promise.all(calls)).toEqual(['CHAIN_CLOSED', 'CHAIN_CLOSED'])
    expect(await codeOf(invoke(kit.chain, Shop).ping())).toBe('CHAIN_CLOSED')
  })

  it('of a process that is gone expires, and is swept', async () => {
    const kit = await memoryChain()
    await foundService(kit.chain, Shop)
    const call = invoke(kit.chain, Shop)
      .ping(undefined, { timeout: '5s' })
      .catch((error) => error.code)
    await turns()
    await kit.chain.close()
    await call
    const chain = await open(memoryEngine(kit.store), { as: person('alice'), id: kit.chain.id }, kit.platform)
    kit.platform.advance(11_000)
    let ran = 0
    const served = serveShop(chain, { ping: () => void ran++ })
    await served.ready
    await turns()
    expect(ran).toBe(0)
    // A commit moves chain time; then an instance that looks round sweeps.
    await chain.transact((tx) => tx.create(Note, { text: 'time' }))
    const rows = [...coreOf(chain).replica.view.extras.keys()].length
    expect(rows).toBeGreaterThan(1)
    for (let i = 0; i < 6; i++) {
      kit.platform.advance(15_000)
      await turns()
    }
    const { view } = coreOf(chain).replica
    const living = [...view.extras.keys()].filter((row) => !view.isDead(row) && view.typeOf(row) === Slot.name)
    expect(living).toEqual([])
    // The desk goes too, a day later.
    kit.platform.advance(25 * 3_600_000)
    await chain.transact((tx) => tx.create(Note, { text: 'time' }))
    kit.platform.advance(15_000)
    await turns()
    expect(chain.children(Desk, placeOf(chain).lobby, DESKS).count()).toBe(0)
    expect([...view.extras.keys()].filter((row) => !view.isDead(row))).toEqual([])
    await served.close()
    await chain.close()
  })
})

describe('an instance', () => {
  it('on a chain that closes at once says nothing', async () => {
    const kit = await memoryChain()
    const served = serveShop(kit.chain)
    const closed = served.close()
    await kit.chain.close()
    await closed
    await served.ready
    expect(kit.platform.warnings).toEqual([])
  })

  it('founds its service on the members that it saw, so that two who do it on two machines make one', async () => {
    await using kit = await memoryChain()
    await foundService(kit.chain, Shop)
    const guards: unknown[] = []
    for await (const { transactions } of kit.chain.records()) for (const one of transactions) guards.push(one.guards)
    expect(guards).toEqual([{ members: 1 }])
  })
})

describe('a desk', () => {
  it('of a process that lives is kept for longer than a day', async () => {
    await using kit = await memoryChain()
    await using _ = serveShop(kit.chain)
    const shop = invoke(kit.chain, Shop)
    for (let hour = 0; hour < 60; hour += 10) {
      expect(await shop.price({ item: 'tea' })).toEqual({ cents: 3 })
      kit.platform.advance(10 * 3_600_000)
      await turns()
    }
    expect(kit.chain.children(Desk, placeOf(kit.chain).lobby, DESKS).count()).toBe(1)
  })

  it('that was taken away is made anew', async () => {
    await using kit = await memoryChain()
    await using _ = serveShop(kit.chain)
    const shop = invoke(kit.chain, Shop)
    await shop.ping()
    const [desk] = kit.chain.children(Desk, placeOf(kit.chain).lobby, DESKS).ids()
    await kit.chain.transact((tx) => {
      for (const slot of slotsOf(kit.chain, placeOf(kit.chain))) tx.delete(slot)
      tx.delete(desk!)
    })
    expect(await codeOf(shop.ping())).toBe('NOT_FOUND')
    expect(await shop.price({ item: 'tea' })).toEqual({ cents: 3 })
  })

  it('whose request is taken away tells the caller', async () => {
    await using kit = await memoryChain()
    await foundService(kit.chain, Shop)
    const call = invoke(kit.chain, Shop).ping()
    await turns()
    await kit.chain.transact((tx) => tx.delete(slotsOf(kit.chain, placeOf(kit.chain))[0]!))
    expect(await codeOf(call)).toBe('CALL_LOST')
  })
})

describe('a platform', () => {
  it('is not held by a service that waits', async () => {
    const platform = quickPlatform()
    const held: unknown[] = []
    const { timers } = platform.environment
    const start = timers.start.bind(timers)
    Object.assign(timers, {
      start: (...given: Parameters<typeof start>) => {
        held.push(given[2]?.holds)
        return start(...given)
      },
    })
    await using kit = await memoryChain({}, platform)
    await using served = serveShop(kit.chain)
    await served.ready
    expect(held).not.toContain('process')
    // Who waits for a reply waits for something that ends.
    await invoke(kit.chain, Shop).ping()
    expect(held).toContain('process')
  })
})
