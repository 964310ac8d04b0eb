/** Likely mistakes get an answer that says what to write instead. */
import { expect, it } from 'vitest'
import { createIdentity, defineType, openChain, role, type Transaction } from '../../src/index.ts'

it('a path without a scheme', async () => {
  await expect(openChain('./garage')).rejects.toThrow('here file:./garage')
  await expect(openChain('C:\\garage')).rejects.toThrow('here file:C:\\garage')
})

it('a scheme that is not there, and nothing at all', async () => {
  for (const at of ['http://localhost', 'file:', '']) {
    await expect(openChain(at)).rejects.toThrow(
      'BAD_URL: a place is memory:, file:PATH, ws://HOST:PORT/NAME, indexeddb:NAME in a page of https: or localhost, or an engine',
    )
  }
})

it('a database where there are none', async () => {
  await expect(openChain('indexeddb:notes')).rejects.toThrow(
    'only a browser has databases; here a chain is in a folder',
  )
})

it('a fingerprint in the place of a public id', async () => {
  const chain = await openChain('memory:', { as: await createIdentity() })
  const { fingerprint } = await createIdentity()
  const add = chain.transact((tx) => tx.role('crew').add(fingerprint as never))
  await expect(add).rejects.toThrow('give the publicId')
  await expect(chain.transact((tx) => tx.role('crew').add('x'.repeat(52) as never))).rejects.toThrow('no public id')
  await expect(chain.transact((tx) => tx.role('crew').add('ate1' as never))).rejects.toThrow('this is no public id')
  await chain.close()
})

it('options that are no words of theirs', async () => {
  const as = await createIdentity()
  await expect(openChain('memory:', { as, pq: 'always' as never })).rejects.toThrow('range, commit, required')
  await expect(openChain('memory:', { as, rollback: 'yes' as never })).rejects.toThrow('refuse, accept')
  // A pin that is misspelt would be no pin.
  for (const options of [{ serverkey: 'x' }, { rollBack: 'refuse' }, { toString: 1 }])
    await expect(openChain('memory:', { as, ...options } as never)).rejects.toThrow('there is no such option')
  await expect(openChain('memory:', null as never)).rejects.toThrow('BAD_ARGUMENT')
})

it('a policy that is misspelt, which would be none', async () => {
  const chain = await openChain('memory:', { as: await createIdentity() })
  const Note = defineType<string>('note')
  const note = await chain.transact((tx) => tx.create(Note, ''))
  const closed = chain.transact((tx) => tx.setPolicy(note, { wirte: 'nobody' } as never))
  await expect(closed).rejects.toThrow('policies are read, write, manage, allow, history, given: wirte')
  await chain.close()
})

it('a function that gives something else than a promise of ours', async () => {
  const chain = await openChain('memory:', { as: await createIdentity() })
  const Note = defineType<{ text: string }>('note')
  const note = await chain.transact((tx) => {
    const made = tx.create(Note, { text: 'a' })
    // biome-ignore lint/suspicious/noThenProperty: what query builders and promises of other realms look like
    return { then: (done: (value: typeof made) => void) => void setTimeout(() => done(made), 5) } as never
  })
  expect(note).toMatchObject({ value: { text: 'a' } })
  await chain.close()
})

it('the controller in the place of its signal: nothing is done, and the chain goes on', async () => {
  const chain = await openChain('memory:', { as: await createIdentity() })
  const Note = defineType<string>('note')
  const signal = new AbortController() as never
  const what = 'signal: an AbortSignal'
  await expect(chain.transact((tx) => tx.create(Note, 'a'), { signal })).rejects.toThrow(what)
  const begun = chain.begin({ signal })
  expect(() => begun.create(Note, 'b')).toThrow(what)
  expect(() => chain.watch({ signal })).toThrow(what)
  await expect(chain.events({ signal, until: 'end' }).next()).rejects.toThrow(what)
  expect(chain.children(Note).count()).toBe(0)
  await chain.transact((tx) => tx.create(Note, 'c'))
  expect(chain.children(Note).count()).toBe(1)
  await chain.close()
})

it('an option of what is made that is misspelt, which would not hold', async () => {
  const chain = await openChain('memory:', { as: await createIdentity() })
  const Note = defineType<string>('note')
  const note = await chain.transact((tx) => tx.create(Note, ''))
  const misspelt: ((tx: Transaction) => unknown)[] = [
    (tx) => tx.create(Note, '', { reads: [role('crew')] } as never),
    (tx) => tx.put(Note, 'new', '', { wirte: 'nobody' } as never),
    (tx) => tx.putChild(Note, '', { paernt: note } as never),
    (tx) => tx.named(Note, 'new', { paernt: note } as never),
    (tx) => tx.hold(note, Note, '', { reads: [] } as never),
    (tx) => tx.expire(note, { tll: '1h' } as never),
    (tx) => tx.retain(note, { retian: 1 } as never),
    (tx) => tx.move(note, { paernt: note } as never),
  ]
  for (const run of misspelt)
    await expect(chain.transact(run)).rejects.toThrow(
      /options are read, write, .*given: (reads|wirte|paernt|tll|retian)/,
    )
  for (const given of [null, 'nobody', 1]) {
    await expect(chain.transact((tx) => tx.create(Note, '', given as never))).rejects.toThrow('options: an object')
    await expect(chain.transact((tx) => tx.put(Note, 'a', '', given as never))).rejects.toThrow('options: an object')
  }
  await expect(chain.transact((tx) => tx.move(note, undefined as never))).rejects.toThrow('options: an object')
  expect(chain.children(Note).count()).toBe(1)
  const counters = { left: { value: 1n, flor: 0n } as never }
  await expect(chain.transact((tx) => tx.create(Note, '', { counters }))).rejects.toThrow('given: flor')
  await chain.close()
})

it('a type that is not there, as where modules import each other', async () => {
  const chain = await openChain('memory:', { as: await createIdentity() })
  const none = undefined as never
  const what = 'give a type made by defineType'
  expect(() => chain.idOf(none, 'a')).toThrow(what)
  await expect(chain.named(none, 'a')).rejects.toThrow(what)
  await expect(chain.child(none, undefined)).rejects.toThrow(what)
  await expect(chain.transact((tx) => tx.put(none, 'a', 1))).rejects.toThrow(what)
  await expect(chain.transact((tx) => tx.named(none, 'a'))).rejects.toThrow(what)
  await expect(chain.transact((tx) => tx.putChild(none, 1))).rejects.toThrow(what)
  await chain.close()
})

it('a stream from no record, or of no type, which would be silent', async () => {
  const chain = await openChain('memory:', { as: await createIdentity() })
  for (const from of ['0', Number.NaN, -1, 0.5]) {
    await expect(chain.events({ from: from as never, until: 'end' }).next()).rejects.toThrow('from: a seq')
    await expect(chain.eventBatches({ from: from as never, until: 'end' }).next()).rejects.toThrow('from: a seq')
    await expect(chain.records({ from: from as never }).next()).rejects.toThrow('from: a seq')
  }
  await expect(chain.events({ until: 'now' as never }).next()).rejects.toThrow('until:')
  await expect(chain.events({ type: 'note' as never, until: 'end' }).next()).rejects.toThrow('type: of defineType')
  expect(() => chain.watch({ type: 'note' as never })).toThrow('type: of defineType')
  await chain.close()
})
