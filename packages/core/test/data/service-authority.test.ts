/** Who may found, serve and call, and who reads what: each session on the same log, one after the other. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { EntityId } from '../../src/base/ids.ts'
import type { Chain } from '../../src/data/chain.ts'
import { role } from '../../src/data/policy-input.ts'
import { answerCall, takeCall } from '../../src/data/service-calls.ts'
import { invoke } from '../../src/data/service-invoke.ts'
import {
  DESKS,
  Desk,
  foundService,
  LEASES,
  Lease,
  Lobby,
  Service,
  SLOTS,
  Slot,
  type SlotValue,
  slotsOf,
} from '../../src/data/service-place.ts'
import { type MemoryStore, memoryEngine, memoryStore } from '../../src/log/memory.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { codeOf, errorOf, memoryChain, Note, open, person, quickPlatform, turns } from './kit.ts'
import { placeOf, Shop, serveShop } from './service-kit.ts'

const ROOT = '00000000000000000000000000'
const id = (name: string) => person(name).publicId

interface World {
  readonly store: MemoryStore
  readonly platform: TestPlatform
  id: Chain['id'] | undefined
}

/** What one person does on the chain. */
async function as<T>(world: World, name: string, run: (chain: Chain) => Promise<T>): Promise<T> {
  const chain = await open(
    memoryEngine(world.store),
    { as: person(name), ...(world.id ? { id: world.id } : {}) },
    world.platform,
  )
  world.id = chain.id
  try {
    return await run(chain)
  } finally {
    await chain.close()
  }
}

/** A request that its caller has left on the chain. */
async function leaveRequest(world: World, name: string, item: string): Promise<EntityId> {
  return as(world, name, async (chain) => {
    const before = new Set(slotsOf(chain, placeOf(chain)))
    const call = invoke(chain, Shop).price({ item }, { timeout: '1h' })
    call.catch(() => undefined)
    await turns()
    return slotsOf(chain, placeOf(chain)).find((slot) => !before.has(slot))!
  })
}

/** alice manages; bob serves; carol and erin call; dave writes at the root, and mallory is nobody. */
async function world(options: { readonly founded: boolean } = { founded: true }): Promise<World> {
  const made: World = { store: memoryStore(), platform: quickPlatform(), id: undefined }
  await as(made, 'alice', async (chain) => {
    await chain.transact((tx) => {
      tx.role('clerks').add(id('bob'))
      tx.role('clerks').add(id('frank'))
      tx.role('customers').add(id('carol'))
      tx.role('customers').add(id('erin'))
      tx.setPolicy(ROOT, { write: [id('alice'), id('dave')], read: 'everyone' })
    })
    await chain.transact((tx) => {
      tx.role('clerks').remove(id('alice'))
      tx.role('customers').remove(id('alice'))
    })
    if (options.founded) await foundService(chain, Shop, { by: [role('clerks')], callers: [role('customers')] })
  })
  return made
}

describe('a request and its reply', () => {
  it('are read by its caller and the service, and by nobody else', async () => {
    const made = await world()
    const slot = await leaveRequest(made, 'carol', 'secret')
    const others = ['alice', 'dave', 'erin']
    for (const name of others)
      await as(made, name, async (chain) => expect(await codeOf(chain.get(Slot, slot))).toBe('NO_READ_KEY'))
    await as(made, 'bob', async (chain) => {
      const served = serveShop(chain, {
        price: ({ item }, { caller }) => ({ cents: caller === person('carol').fingerprint ? item.length : -1 }),
      })
      await served.ready
      await turns()
      await served.close()
    })
    for (const name of others)
      await as(made, name, async (chain) => expect(await codeOf(chain.get(Slot, slot))).toBe('NO_READ_KEY'))
    await as(made, 'carol', async (chain) =>
      expect((await chain.load(Slot, slot)).value).toMatchObject({ state: 'answered', output: { cents: 6 } }),
    )
  })

  it('are changed by nobody else', async () => {
    const made = await world()
    const slot = await leaveRequest(made, 'carol', 'secret')
    for (const name of ['dave', 'erin']) {
      await as(made, name, async (chain) => {
        const desk = chain.children(Desk, placeOf(chain).lobby, DESKS).ids()[0]!
        expect(await codeOf(chain.transact((tx) => tx.delete(slot)))).toBe('NOT_AUTHORIZED')
        expect(
          await codeOf(chain.transact((tx) => tx.create(Slot, { state: 'free' }, { parent: desk, in: SLOTS }))),
        ).toBe('NOT_AUTHORIZED')
        expect(await codeOf(chain.transact((tx) => tx.setPolicy(desk, { write: 'everyone' })))).toBe('NOT_AUTHORIZED')
      })
    }
  })

  it('of somebody who is not of the service is not believed', async () => {
    await using kit = await memoryChain()
    await foundService(kit.chain, Shop, { by: [id('bob')], callers: [id('alice')] })
    const reply = invoke(kit.chain, Shop).price({ item: 'tea' })
    await turns()
    const [slot] = slotsOf(kit.chain, placeOf(kit.chain))
    // The caller writes in her own slot; somebody who has her key could do that, and be no clerk for it.
    await kit.chain.transact(async (tx) => {
      const { value } = await tx.load(Slot, slot!)
      const call = value.state === 'asked' ? value.call : ''
      await tx.update<SlotValue>(Slot, slot!, () => ({ state: 'answered', call, output: { cents: 0 } }))
    })
    expect(await codeOf(reply)).toBe('NOT_AUTHORIZED')
  })
})

describe('who', () => {
  let shared: World
  beforeAll(async () => {
    shared = await world()
  })

  it('is not of the service does not serve', async () => {
    for (const name of ['carol', 'dave'])
      await as(shared, name, async (chain) =>
        expect(await codeOf(serveShop(chain, {}, { onError: () => undefined }).ready)).toBe('NOT_AUTHORIZED'),
      )
    const slot = await leaveRequest(shared, 'erin', 'tea')
    await as(shared, 'erin', async (chain) => {
      // Not even her own request.
      const place = placeOf(chain)
      expect(await codeOf(takeCall(chain, place, slot, 1000))).toBe('NOT_AUTHORIZED')
      const lease = { call: 'x', token: 'x' }
      expect(
        await codeOf(chain.transact((tx) => tx.put(Lease, slot, lease, { parent: place.service, in: LEASES }))),
      ).toBe('NOT_AUTHORIZED')
    })
  })

  it('is no caller does not call', async () => {
    for (const name of ['dave', 'alice'])
      await as(shared, name, async (chain) =>
        expect(await codeOf(invoke(chain, Shop).price({ item: 'tea' }))).toBe('NOT_AUTHORIZED'),
      )
  })

  it('may not manage the parent does not found', async () => {
    const Other = { ...Shop, name: 'other' }
    await as(shared, 'dave', async (chain) => {
      expect(await codeOf(foundService(chain, Other))).toBe('NOT_AUTHORIZED')
      const { ready } = serveShop(chain, {}, { onError: () => undefined })
      await codeOf(ready)
    })
  })

  it('puts another service of that name there is not believed', async () => {
    const made = await world({ founded: false })
    await as(made, 'dave', async (chain) => {
      await chain.transact((tx) => {
        tx.create(Service, { format: 1 }, { in: 'service/shop' })
        tx.create(Lobby, null, { in: 'service/shop' })
      })
      expect(placeOf(chain)).toBeUndefined()
    })
    await as(made, 'alice', async (chain) => {
      await foundService(chain, Shop, { by: [id('bob')], callers: [id('alice')] })
      const all = chain.children(Service, undefined, 'service/shop').ids()
      expect(all).toHaveLength(4)
      expect([placeOf(chain).service, placeOf(chain).lobby]).toEqual(all.slice(2))
    })
  })

  it('was a caller once is told that this is over', async () => {
    const made = await world()
    const slot = await leaveRequest(made, 'carol', 'tea')
    await as(made, 'alice', async (chain) => {
      await chain.transact((tx) => {
        tx.role('customers').remove(id('carol'))
      })
    })
    await as(made, 'bob', async (chain) => {
      const served = serveShop(chain)
      await served.ready
      await turns()
      await served.close()
      expect((await chain.load(Slot, slot)).value).toMatchObject({ state: 'failed', code: 'NOT_AUTHORIZED' })
    })
  })

  it('was of the service once answers nothing more', async () => {
    const made = await world()
    const slot = await leaveRequest(made, 'carol', 'tea')
    const taken = await as(made, 'bob', async (chain) => takeCall(chain, placeOf(chain), slot, 3_600_000))
    expect(taken?.caller).toBe(person('carol').fingerprint)
    await as(made, 'alice', async (chain) => {
      await chain.transact((tx) => {
        tx.role('clerks').remove(id('bob'))
      })
    })
    await as(made, 'bob', async (chain) => {
      const answer = answerCall(chain, placeOf(chain), taken!, () => ({ state: 'answered', output: { cents: 1 } }))
      expect(await codeOf(answer)).toMatch(/^(NOT_AUTHORIZED|NO_READ_KEY)$/)
    })
    // Her next request goes to those who are.
    const next = await leaveRequest(made, 'carol', 'coffee')
    await as(made, 'frank', async (chain) => {
      const served = serveShop(chain)
      await served.ready
      await turns()
      await served.close()
      expect((await chain.load(Slot, next)).value).toMatchObject({ state: 'answered', output: { cents: 6 } })
    })
  })
})

describe('foundService', () => {
  it('changes who serves and who calls, and leaves what is not given', async () => {
    const made = await world()
    await as(made, 'alice', async (chain) => {
      const place = placeOf(chain)
      await foundService(chain, Shop)
      await foundService(chain, Shop, { callers: [id('dave')] })
      expect(placeOf(chain)).toEqual(place)
    })
    const slot = await leaveRequest(made, 'dave', 'tea')
    await as(made, 'carol', async (chain) =>
      expect(await codeOf(invoke(chain, Shop).price({ item: 'x' }))).toBe('NOT_AUTHORIZED'),
    )
    await as(made, 'bob', async (chain) => {
      const served = serveShop(chain)
      await served.ready
      await turns()
      expect((await chain.load(Slot, slot)).value.state).toBe('answered')
      await served.close()
    })
  })

  it('refuses roles that are not there', async () => {
    await using kit = await memoryChain()
    expect((await errorOf(foundService(kit.chain, Shop, { by: [role('ghosts')] }))).code).toBe('NO_ROLE')
    expect(await codeOf(serveShop(kit.chain, {}, { by: [role('ghosts')], onError: () => undefined }).ready)).toBe(
      'NO_ROLE',
    )
    expect(kit.chain.children(Note).count()).toBe(0)
  })
})

describe('a slot of no shape', () => {
  it.each([
    ['text', 'x'],
    ['another state', { state: 'open', call: 'x' }],
    ['no procedure', { state: 'asked', call: 'x' }],
    ['an id that is too long', { state: 'asked', call: 'x'.repeat(65), procedure: 'price' }],
    ['facts that are none', { state: 'failed', call: 'x', code: 'X', facts: { a: 1 } }],
  ])('%s is left alone', async (_, value) => {
    await using kit = await memoryChain()
    await using served = serveShop(kit.chain)
    await served.ready
    await invoke(kit.chain, Shop).ping()
    const [desk] = kit.chain.children(Desk, placeOf(kit.chain).lobby, DESKS).ids()
    const Any = { ...Slot, schema: undefined }
    await kit.chain.transact((tx) => tx.create(Any, value as never, { parent: desk!, in: SLOTS, ttl: '1h' }))
    await turns()
    expect(served.running).toBe(0)
    expect(kit.platform.warnings).toEqual([])
    expect(await invoke(kit.chain, Shop).price({ item: 'tea' })).toEqual({ cents: 3 })
  })

  it('or one that does not stand at a desk is left alone too', async () => {
    await using kit = await memoryChain()
    let ran = 0
    await using served = serveShop(kit.chain, { ping: () => void ran++ })
    await served.ready
    const place = placeOf(kit.chain)
    const value = { state: 'asked', call: 'x', procedure: 'ping' } as const
    await kit.chain.transact((tx) => {
      tx.create(Slot, value, { ttl: '1h' })
      tx.create(Slot, value, { parent: place.lobby, in: SLOTS, ttl: '1h' })
      const desk = tx.create(Desk, null, { parent: place.lobby, in: 'other' })
      tx.create(Slot, value, { parent: desk, in: SLOTS, ttl: '1h' })
      const good = tx.create(Desk, null, { parent: place.lobby, in: DESKS })
      tx.create(Slot, value, { parent: good, in: 'other', ttl: '1h' })
    })
    await turns()
    expect(ran).toBe(0)
  })
})
