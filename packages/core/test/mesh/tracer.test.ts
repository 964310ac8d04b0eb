import { expect, test } from 'vitest'
import { defineType } from '../../src/data/entity-type.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { machine, someone, startServer } from './net-kit.ts'

const Note = defineType<{ text: string }>('note')

test('two clients of one server', async () => {
  await using server = await startServer()
  const me = someone()
  const serverKey = server.identity
  const a = await openChain(`${server.url}/notes`, { as: me, create: true, serverKey }, machine())
  const note = await a.transact((tx) => tx.create(Note, { text: 'my test string' }))
  const b = await openChain(`${server.url}/notes`, { as: me, serverKey, id: a.id }, machine())
  expect((await b.load(Note, note.id)).value.text).toBe('my test string')
  const all = await Promise.all(
    Array.from({ length: 300 }, (_, i) => (i % 2 ? a : b).transact((tx) => tx.create(Note, { text: `n${i}` }))),
  )
  await a.refresh()
  await b.refresh()
  expect(a.head).toEqual(b.head)
  for (const one of all) expect((await b.load(Note, one.id)).value).toEqual((await a.load(Note, one.id)).value)
  await a.close()
  await b.close()
})
