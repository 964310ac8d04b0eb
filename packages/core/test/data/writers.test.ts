/** Writers who do not read, named after the node was made; and readers who take only what is attested. */
import { describe, expect, it } from 'vitest'
import { createIdentity, defineType, memoryEngine, memoryStore, openChain, role } from '../../src/index.ts'

const Note = defineType<{ text: string }>('note')

describe('writers who come later', () => {
  it('seal to a key that the node publishes from then on', async () => {
    const [alice, bob] = await Promise.all([createIdentity(), createIdentity()])
    const store = memoryStore()
    const chain = await openChain(memoryEngine(store), { as: alice })
    const box = await chain.transact((tx) => {
      tx.role('staff').add(alice)
      return tx.create(Note, { text: 'box' }, { read: [role('staff')], write: [role('staff')] })
    })
    await chain.transact((tx) => tx.setPolicy(box, { write: [role('staff'), bob] }))
    await chain.close()
    const asBob = await openChain(memoryEngine(store), { as: bob, id: chain.id })
    const letter = await asBob.transact((tx) => tx.create(Note, { text: 'from bob' }, { parent: box }))
    await expect(asBob.get(Note, letter.id)).rejects.toMatchObject({ code: 'NO_READ_KEY' })
    await asBob.close()
    const again = await openChain(memoryEngine(store), { as: alice })
    expect((await again.load(Note, letter.id)).value).toEqual({ text: 'from bob' })
    expect((await again.verify()).ok).toBe(true)
    await again.close()
  })
})

describe('pq: required', () => {
  it('shows what is attested, at opening and after a refresh', async () => {
    const alice = await createIdentity()
    const store = memoryStore()
    const chain = await openChain(memoryEngine(store), { as: alice, pq: 'commit' })
    const first = await chain.transact((tx) => tx.create(Note, { text: '1' }))
    await chain.close()
    const writer = await openChain(memoryEngine(store), { as: alice })
    const options = { as: alice, id: chain.id, readOnly: true, pq: 'required' } as const
    const reader = await openChain(memoryEngine(store, { readOnly: true }), options)
    expect((await reader.load(Note, first.id)).value.text).toBe('1')
    const second = await writer.transact((tx) => tx.create(Note, { text: '2' }))
    expect(await reader.refresh()).toBe(0)
    expect(await reader.get(Note, second.id)).toBeUndefined()
    await writer.close()
    expect(await reader.refresh()).toBe(2)
    expect((await reader.load(Note, second.id)).value.text).toBe('2')
    await reader.close()
    await expect(openChain(memoryEngine(store), { as: alice, pq: 'required' })).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
    })
  })
})
