/** Likely mistakes get an answer that says what to write instead. */
import { expect, it } from 'vitest'
import { createIdentity, defineType, openChain } from '../../src/index.ts'

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
