/** Entities that many callers make at once: what they share, and that none of them fails with another. */
import { expect, it } from 'vitest'
import { Creations } from '../../src/data/creations.ts'
import type { Transaction } from '../../src/data/transaction.ts'
import { codeOf, memoryChain, Note, Thing } from './kit.ts'

const PLACE = { parent: '0'.repeat(26) as never, in: 'notes' }

it('makes those of one turn in one transaction, in the order of the calls, each as it was at the call', async () => {
  await using kit = await memoryChain()
  const creations = new Creations(kit.chain)
  const value = { text: '' }
  const made = await Promise.all(
    Array.from({ length: 40 }, (_, n) => {
      value.text = `${n}`
      return creations.create(Note, value, PLACE)
    }),
  )
  expect(new Set(made.map(({ seq }) => seq)).size).toBe(1)
  expect(kit.chain.head.seq).toBe(made[0]!.seq)
  const texts: string[] = []
  for await (const note of kit.chain.children(Note, undefined, 'notes')) texts.push(note.value.text)
  expect(texts).toEqual(Array.from({ length: 40 }, (_, n) => `${n}`))
  expect(creations.staged).toBeUndefined()
})

it('tells who gives what cannot be stored, and makes the others', async () => {
  await using kit = await memoryChain()
  const creations = new Creations(kit.chain)
  const answers = await Promise.all(
    [1, 2, 3, 4].map((n) =>
      codeOf(
        n === 2
          ? creations.create(Note, { text: (() => n) as never }, PLACE)
          : n === 3
            ? creations.create(Note, { text: 'nowhere' }, { ...PLACE, parent: `${'0'.repeat(25)}8` as never })
            : creations.create(Note, { text: `${n}` }, PLACE),
      ),
    ),
  )
  expect(answers).toEqual(['nothing was thrown', 'BAD_VALUE', 'NOT_FOUND', 'nothing was thrown'])
  expect(kit.chain.children(Note, undefined, 'notes').count()).toBe(2)
})

it('parts what is too much for one commit', async () => {
  await using kit = await memoryChain()
  const creations = new Creations(kit.chain)
  const big = new Uint8Array(300_000)
  await Promise.all([1, 2, 3, 4, 5].map(() => creations.create(Thing, big, PLACE)))
  expect(kit.chain.children(Thing, undefined, 'notes').count()).toBe(5)
})

it('is staged before what waits for it, and ends with the chain', async () => {
  await using kit = await memoryChain()
  const creations = new Creations(kit.chain)
  const first = creations.create(Note, { text: 'first' }, PLACE)
  await creations.staged
  const second = kit.chain.transact((tx) => tx.create(Note, { text: 'second' }, { in: 'notes' }))
  await Promise.all([first, second])
  const texts: string[] = []
  for await (const note of kit.chain.children(Note, undefined, 'notes')) texts.push(note.value.text)
  expect(texts).toEqual(['first', 'second'])
  await kit.chain.close()
  const late = await Promise.all([1, 2].map((n) => codeOf(creations.create(Note, { text: `${n}` }, PLACE))))
  expect(late).toEqual(['CHAIN_CLOSED', 'CHAIN_CLOSED'])
})

it('makes what has a name by itself, and refuses the second of one name', async () => {
  await using kit = await memoryChain()
  const creations = new Creations(kit.chain)
  const make = (text: string) => (tx: Transaction) => ({
    id: tx.create(Note, { text }, { ...PLACE, name: 'one' }).id,
    value: text,
  })
  const made = ['1', '2'].map((text) => codeOf(creations.alone(make(text))))
  const unnamed = creations.create(Note, { text: '3' }, PLACE)
  expect(await Promise.all(made)).toEqual(['nothing was thrown', 'NAME_TAKEN'])
  await unnamed
  expect(kit.chain.children(Note, undefined, 'notes').count()).toBe(2)
})

it('makes entities with what a companion stages, and without it if that fails', async () => {
  await using kit = await memoryChain()
  const told: string[] = []
  let fails = false
  const creations = new Creations(kit.chain, async (tx, made) => {
    if (fails) throw new Error('it cannot')
    for (const { value } of made)
      tx.create(Note, { text: `with ${(value as { text: string }).text}` }, { in: 'others' })
    return { committed: () => told.push('committed'), dropped: () => told.push('dropped') }
  })
  const together = ['a', 'b'].map((text) => creations.create(Note, { text }, PLACE).then(() => told.push(text)))
  await Promise.all(together)
  expect(told).toEqual(['committed', 'a', 'b'])
  expect(kit.chain.children(Note, undefined, 'others').count()).toBe(2)
  fails = true
  await creations.create(Note, { text: 'c' }, PLACE)
  expect(kit.chain.children(Note, undefined, 'others').count()).toBe(2)
  expect(kit.chain.children(Note, undefined, 'notes').newest()).toBe(
    kit.chain.children(Note, undefined, 'notes').ids().at(-1),
  )
  expect(kit.chain.children(Note, undefined, 'nothing').newest()).toBeUndefined()
  await kit.chain.close()
  expect(await codeOf(creations.create(Note, { text: 'd' }, PLACE))).toBe('CHAIN_CLOSED')
})
