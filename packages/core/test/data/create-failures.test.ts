/** A creation that fails inside a transaction that goes on: nothing of it is committed, and nothing after it is harmed. */
import { describe, expect, it } from 'vitest'
import { createIdentity, defineType, memoryEngine, memoryStore, openChain, role } from '../../src/index.ts'

const Thing = defineType<unknown>('thing')

async function openFresh(): Promise<Awaited<ReturnType<typeof openChain>>> {
  return openChain('memory:', { as: await createIdentity() })
}

describe('create that fails', () => {
  it('leaves no gap in the ids, which every replica counts anew', async () => {
    const chain = await openFresh()
    const made = await chain.transact((tx) => {
      expect(() => tx.create(Thing, 'x'.repeat(1_000_000))).toThrow('VALUE_TOO_LARGE')
      return tx.create(Thing, 'fits')
    })
    const replayed = []
    for await (const event of chain.events({ until: 'end' })) replayed.push(event.entity)
    expect(replayed).toEqual([made.id])
    expect((await chain.verify()).ok).toBe(true)
    await chain.close()
  })

  it('commits nothing of an entity whose policy names no role', async () => {
    const chain = await openFresh()
    await chain.transact((tx) => {
      expect(() => tx.create(Thing, 1, { write: [role('nobody-made-it')] })).toThrow('NO_ROLE')
      tx.create(Thing, 2)
    })
    const values = []
    for await (const { value } of chain.children(Thing)) values.push(value)
    expect(values).toEqual([2])
    await chain.close()
  })

  it('introduces an identity that only a failed creation had introduced', async () => {
    const chain = await openFresh()
    const bob = await createIdentity()
    const made = await chain.transact((tx) => {
      expect(() => tx.create(Thing, 1, { write: [bob, role('nobody-made-it')] })).toThrow('NO_ROLE')
      return tx.create(Thing, 2, { write: [bob] })
    })
    expect((await chain.load(Thing, made.id)).value).toBe(2)
    await chain.close()
  })
})

describe('counters that name identities', () => {
  it('introduces those that the chain does not know, beside those of the policy', async () => {
    const chain = await openFresh()
    const [bob, carol] = [await createIdentity(), await createIdentity()]
    const counters = { n: { value: 5n, down: [bob] } }
    const made = await chain.transact((tx) => tx.create(Thing, 1, { counters, write: [carol] }))
    expect(chain.counter(made, 'n')).toBe(5n)
    await expect(chain.transact((tx) => tx.add(made, 'n', -1n))).rejects.toThrow('NOT_AUTHORIZED')
    expect((await chain.verify()).ok).toBe(true)
    await chain.close()
  })

  it('refuses one that the chain does not know where no policy is given', async () => {
    const chain = await openFresh()
    const bob = await createIdentity()
    const counters = { n: { down: [bob] } }
    await expect(chain.transact((tx) => tx.create(Thing, 1, { counters }))).rejects.toThrow(
      'name it in a role or in a policy',
    )
    await chain.close()
  })
})

describe('a read policy that names identities', () => {
  it('is sealed to one that the same transaction brings to the chain', async () => {
    const [alice, bob] = [await createIdentity(), await createIdentity()]
    const store = memoryStore()
    const chain = await openChain(memoryEngine(store), { as: alice })
    const made = await chain.transact((tx) => tx.create(Thing, 'for bob', { read: [alice, bob] }))
    await chain.close()
    const asBob = await openChain(memoryEngine(store), { as: bob, id: chain.id })
    expect((await asBob.load(Thing, made.id)).value).toBe('for bob')
    await asBob.close()
  })
})
