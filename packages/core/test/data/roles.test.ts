/** Roles, policies, epochs: who reads and writes what, before and after members come and go. */
import { describe, expect, it } from 'vitest'
import { role } from '../../src/data/policy-input.ts'
import { assertSameAsLog, codeOf, memoryChain, Note, person, reopen, Thing } from './kit.ts'

const NOTHING = 'nothing was thrown'
const id = (name: string) => person(name).publicId

describe('roles', () => {
  it('let members read and write, from their maker on, and nobody else', async () => {
    await using kit = await memoryChain()
    const note = await kit.chain.transact((tx) => {
      tx.role('crew').add(id('bob'))
      return tx.create(Note, { text: 'garage' }, { read: [role('crew')], write: [role('crew')] })
    })
    await using bob = await reopen(kit, { as: person('bob') })
    expect((await bob.chain.load(Note, note.id)).value.text).toBe('garage')
    await bob.chain.transact((tx) => tx.update(Note, note.id, () => ({ text: 'by bob' })))
    await bob.chain.transact((tx) => tx.create(Note, { text: 'below' }, { parent: note.id }))
    expect(await codeOf(bob.chain.transact((tx) => tx.role('crew').add(id('carol'))))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(bob.chain.transact((tx) => tx.setPolicy(note.id, { write: 'everyone' })))).toBe(
      'NOT_AUTHORIZED',
    )
    expect(await codeOf(bob.chain.transact((tx) => tx.create(Note, { text: 'x' })))).toBe('NOT_AUTHORIZED')
    await assertSameAsLog(bob.chain)
    await using eve = await reopen(bob, { as: person('eve') })
    expect(await codeOf(eve.chain.get(Note, note.id))).toBe('NO_READ_KEY')
    expect(await codeOf(eve.chain.transact((tx) => tx.get(Note, note.id)))).toBe('NO_READ_KEY')
    expect(await codeOf(eve.chain.children(Note, note.id).page())).toBe('NO_READ_KEY')
    expect(eve.chain.children(Note, note.id).count()).toBe(1)
    expect(await codeOf(eve.chain.transact((tx) => tx.delete(note.id)))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(eve.chain.named(Note, 'x'))).toBe('NO_READ_KEY')
    await using alice = await reopen(eve)
    expect((await alice.chain.load(Note, note.id)).value.text).toBe('by bob')
  })

  it('take members again after the last one has left, with a key that none of the former ones holds', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.role('crew').add(id('bob')))
    await kit.chain.transact((tx) => {
      tx.role('crew').remove(id('bob'))
      tx.role('crew').remove(id('alice'))
    })
    await kit.chain.transact((tx) => tx.role('crew').add(id('carol')))
    const note = await kit.chain.transact((tx) => tx.create(Note, { text: 'hers' }, { read: [role('crew')] }))
    expect(await codeOf(kit.chain.get(Note, note.id))).toBe(NOTHING)
    await assertSameAsLog(kit.chain)
    await using bob = await reopen(kit, { as: person('bob') })
    expect(await codeOf(bob.chain.get(Note, note.id))).toBe('NO_READ_KEY')
    await using carol = await reopen(bob, { as: person('carol') })
    expect((await carol.chain.load(Note, note.id)).value.text).toBe('hers')
  })

  it('remove says what could be read and what is locked anew; the removed one reads nothing newer', async () => {
    await using kit = await memoryChain()
    const [open, note, other] = await kit.chain.transact((tx) => {
      tx.role('crew').add(id('bob'))
      tx.role('crew').add(id('carol'))
      return [
        tx.create(Note, { text: 'root' }),
        tx.create(Note, { text: 'old' }, { read: [role('crew')], write: [role('crew')] }),
        tx.create(Note, { text: 'other' }, { read: [id('alice')] }),
      ]
    })
    const removal = await kit.chain.transact(async (tx) => {
      const removal = tx.role('crew').remove(id('bob'))
      await tx.update(note!, () => ({ text: 'new' }))
      tx.create(Note, { text: 'new too' }, { parent: note! })
      return removal
    })
    expect(removal).toEqual({ couldRead: [note!.id], rekeyed: [note!.id], stale: [] })
    const nobody = await kit.chain.transact((tx) => tx.role('crew').remove(id('eve')))
    expect(nobody).toEqual({ couldRead: [], rekeyed: [], stale: [] })
    expect(await codeOf(kit.chain.transact((tx) => tx.role('none').remove(id('bob'))))).toBe('NO_ROLE')
    expect(await codeOf(kit.chain.transact((tx) => tx.role('').add(id('bob'))))).toBe('BAD_ARGUMENT')
    expect(await codeOf(kit.chain.transact((tx) => tx.role('crew').add('ate1x' as never)))).toBe('BAD_PUBLIC_ID')
    expect(await codeOf(kit.chain.transact((tx) => tx.role('crew').add(undefined as never)))).toBe('BAD_PUBLIC_ID')
    await using bob = await reopen(kit, { as: person('bob') })
    for (const ref of [open!, note!, other!]) expect(await codeOf(bob.chain.get(Note, ref.id))).toBe('NO_READ_KEY')
    expect(await codeOf(bob.chain.transact((tx) => tx.delete(note!.id)))).toBe('NOT_AUTHORIZED')
    // What bob could read once, he can still read: that is said, not hidden.
    const values: string[] = []
    for await (const event of bob.chain.events({ until: 'end' })) {
      if (event.entity === note!.id && event.op !== 'epoch')
        values.push(
          await event.value(Note).then(
            (value) => value.text,
            (error) => error.code,
          ),
        )
    }
    expect(values).toEqual(['old', 'NO_READ_KEY'])
    await using carol = await reopen(bob, { as: person('carol') })
    expect((await carol.chain.load(Note, note!.id)).value.text).toBe('new')
    expect((await carol.chain.children(Note, note!.id).page()).map(({ value }) => value.text)).toEqual(['new too'])
    await carol.chain.transact((tx) => tx.update(Note, note!.id, () => ({ text: 'by carol' })))
    await assertSameAsLog(carol.chain)
  })

  it('several roles of one node change in one transaction, with what is written there', async () => {
    await using kit = await memoryChain()
    const note = await kit.chain.transact((tx) => {
      tx.role('a').add(id('bob'))
      tx.role('b').add(id('carol'))
      return tx.create(Note, { text: 'x' }, { read: [role('a'), role('b')] })
    })
    await kit.chain.transact(async (tx) => {
      tx.role('a').remove(id('bob'))
      await tx.update(note, () => ({ text: 'y' }))
      tx.role('b').remove(id('carol'))
      tx.role('b').add(id('dave'))
    })
    await assertSameAsLog(kit.chain)
    await using dave = await reopen(kit, { as: person('dave') })
    expect((await dave.chain.load(Note, note.id)).value.text).toBe('y')
    await using bob = await reopen(dave, { as: person('bob') })
    expect(await codeOf(bob.chain.get(Note, note.id))).toBe('NO_READ_KEY')
  })

  it('bring the keys of members that a policy brings too, in either order', async () => {
    for (const order of ['role first', 'policy first']) {
      await using kit = await memoryChain()
      await kit.chain.transact((tx) => {
        if (order === 'role first') tx.role('crew').add(id('bob'))
        tx.create(Note, { text: 'x' }, { write: [id('bob')] })
        if (order === 'policy first') tx.role('crew').add(id('bob'))
      })
      await assertSameAsLog(kit.chain)
    }
  })

  it('of a node are found from below, the nearest first', async () => {
    await using kit = await memoryChain()
    const [box, below] = await kit.chain.transact((tx) => {
      tx.role('crew').add(id('bob'))
      const box = tx.create(Thing, 'box')
      tx.role('crew', box).add(id('carol'))
      return [box, tx.create(Note, { text: 'for carol' }, { parent: box, read: [role('crew')] })]
    })
    await using carol = await reopen(kit, { as: person('carol') })
    expect((await carol.chain.load(Note, below!.id)).value.text).toBe('for carol')
    await using bob = await reopen(carol, { as: person('bob') })
    expect(await codeOf(bob.chain.get(Note, below!.id))).toBe('NO_READ_KEY')
    await using alice = await reopen(bob)
    expect(alice.chain.children(Thing, box!, 'ate:roles').count()).toBe(1)
  })
})

describe('history', () => {
  it('all: a new member reads what was there; live: only what is sealed from then on, or again', async () => {
    for (const history of ['all', 'live'] as const) {
      await using kit = await memoryChain()
      const note = await kit.chain.transact((tx) => {
        tx.role('crew').add(id('bob'))
        return tx.create(Note, { text: 'before' }, { read: [role('crew')], write: [role('crew')], history })
      })
      const below = await kit.chain.transact((tx) => tx.create(Note, { text: 'below' }, { parent: note }))
      await kit.chain.transact((tx) => tx.role('crew').add(id('carol')))
      const newer = await kit.chain.transact((tx) => tx.create(Note, { text: 'after' }, { parent: note }))
      await using carol = await reopen(kit, { as: person('carol') })
      const old = await carol.chain.get(Note, note.id).then(
        (found) => found!.value.text,
        (error) => error.code,
      )
      expect(old).toBe(history === 'all' ? 'before' : 'LOCKED')
      expect((await carol.chain.load(Note, newer.id)).value.text).toBe('after')
      await using alice = await reopen(carol)
      const first = await alice.chain.reseal(note.id, { limit: 1 })
      expect(first).toEqual(history === 'all' ? first : { resealed: 1, left: 1 })
      await alice.chain.reseal(note.id)
      await using again = await reopen(alice, { as: person('carol') })
      expect((await again.chain.load(Note, note.id)).value.text).toBe('before')
      expect((await again.chain.load(Note, below.id)).value.text).toBe('below')
    }
  })
})

describe('writers who do not read', () => {
  it('seal to the epoch’s public key, and readers open it', async () => {
    await using kit = await memoryChain()
    const box = await kit.chain.transact((tx) => {
      tx.role('drop').add(id('bob'))
      return tx.create(Thing, 'box', { read: [id('alice')], write: [role('drop')] })
    })
    await using bob = await reopen(kit, { as: person('bob') })
    const made = await bob.chain.transact((tx) => tx.create(Note, { text: 'secret of bob' }, { parent: box.id }))
    expect(await codeOf(bob.chain.get(Note, made.id))).toBe('NO_READ_KEY')
    expect(await codeOf(bob.chain.transact((tx) => tx.create(Note, { text: '' }, { parent: box.id, name: 'n' })))).toBe(
      'NO_READ_KEY',
    )
    await assertSameAsLog(bob.chain)
    await using alice = await reopen(bob)
    expect((await alice.chain.load(Note, made.id)).value.text).toBe('secret of bob')
  })

  it('NEEDS_REKEY when a reader must make the next key; readers make it as they write', async () => {
    await using kit = await memoryChain()
    const box = await kit.chain.transact((tx) => {
      tx.role('readers').add(id('carol'))
      tx.role('readers').add(id('dave'))
      tx.role('bosses').add(id('bob'))
      return tx.create(Thing, 'box', {
        read: [role('readers')],
        write: [id('eve'), role('readers')],
        manage: [role('bosses')],
      })
    })
    // Bob manages the role's node through the root's policy: he removes a reader, but cannot read himself.
    const root = '00000000000000000000000000'
    await kit.chain.transact((tx) => tx.setPolicy(root, { manage: [id('alice'), id('bob')] }))
    await using bob = await reopen(kit, { as: person('bob') })
    const removal = await bob.chain.transact((tx) => tx.role('readers').remove(id('dave')))
    expect(removal).toEqual({ couldRead: [box.id], rekeyed: [], stale: [box.id] })
    await using eve = await reopen(bob, { as: person('eve') })
    const write = () => eve.chain.transact((tx) => tx.create(Note, { text: 'by eve' }, { parent: box.id }))
    expect(await codeOf(write())).toBe('NEEDS_REKEY')
    await using carol = await reopen(eve, { as: person('carol') })
    await carol.chain.transact((tx) => tx.create(Note, { text: 'by carol' }, { parent: box.id }))
    await assertSameAsLog(carol.chain)
    await using again = await reopen(carol, { as: person('eve') })
    const made = await again.chain.transact((tx) => tx.create(Note, { text: 'by eve' }, { parent: box.id }))
    await using dave = await reopen(again, { as: person('dave') })
    expect(await codeOf(dave.chain.get(Note, made.id))).toBe('NO_READ_KEY')
    await using reader = await reopen(dave, { as: person('carol') })
    expect((await reader.chain.load(Note, made.id)).value.text).toBe('by eve')
  })
})

describe('policies', () => {
  it('everyone reads what is published; nobody writes what is closed to all', async () => {
    await using kit = await memoryChain()
    const [board, stone] = await kit.chain.transact((tx) => [
      tx.create(Note, { text: 'board' }, { read: 'everyone' }),
      tx.create(Note, { text: 'stone' }, { write: 'nobody' }),
    ])
    expect(await codeOf(kit.chain.transact((tx) => tx.update(stone!, () => ({ text: 'x' }))))).toBe('NOT_AUTHORIZED')
    await kit.chain.transact((tx) => tx.setPolicy(stone!, { write: [id('alice')] }))
    expect(await codeOf(kit.chain.transact((tx) => tx.update(stone!, () => ({ text: 'x' }))))).toBe(NOTHING)
    await using eve = await reopen(kit, { as: person('eve') })
    expect((await eve.chain.load(Note, board!.id)).value.text).toBe('board')
    expect(await codeOf(eve.chain.get(Note, stone!.id))).toBe('NO_READ_KEY')
  })

  it('change with setPolicy; the last manager of the root cannot go', async () => {
    await using kit = await memoryChain()
    const root = '00000000000000000000000000'
    const note = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
    expect(await codeOf(kit.chain.transact((tx) => tx.setPolicy(root, { manage: [] })))).toBe('LAST_MANAGER')
    expect(await codeOf(kit.chain.transact((tx) => tx.setPolicy(note, { write: 'all' as never })))).toBe('BAD_ARGUMENT')
    expect(await codeOf(kit.chain.transact((tx) => tx.setPolicy(note, { write: 5 as never })))).toBe('BAD_ARGUMENT')
    expect(await codeOf(kit.chain.transact((tx) => tx.setPolicy('0123456789abcdefghjkmnpq00', {})))).toBe('NOT_FOUND')
    await kit.chain.transact((tx) => tx.setPolicy(note, { read: [id('bob'), id('alice')] }))
    await kit.chain.transact((tx) => tx.update(note, () => ({ text: 'b' })))
    await using bob = await reopen(kit, { as: person('bob') })
    expect((await bob.chain.load(Note, note.id)).value.text).toBe('b')
    await using alice = await reopen(bob)
    await alice.chain.transact(async (tx) => {
      tx.setPolicy(note.id, { read: [id('alice')] })
      await tx.update(Note, note.id, () => ({ text: 'c' }))
    })
    await assertSameAsLog(alice.chain)
    await using again = await reopen(alice, { as: person('bob') })
    expect(await codeOf(again.chain.get(Note, note.id))).toBe('NO_READ_KEY')
  })

  it('a move takes the readers along, wherever the target is made', async () => {
    await using kit = await memoryChain()
    const [open, secret, note] = await kit.chain.transact((tx) => {
      const secret = tx.create(Thing, 'secret', { read: [id('alice'), id('bob')] })
      return [
        tx.create(Thing, 'open', { read: 'everyone' }),
        secret,
        tx.create(Note, { text: 'n' }, { parent: secret }),
      ]
    })
    await kit.chain.transact((tx) => tx.move(note!, { parent: open! }))
    await kit.chain.transact((tx) => tx.update(note!, () => ({ text: 'still secret' })))
    const other = await kit.chain.transact((tx) => tx.create(Note, { text: 'o' }, { parent: secret! }))
    await kit.chain.transact((tx) => {
      const fresh = tx.create(Thing, 'fresh', { read: 'everyone' })
      tx.move(other, { parent: fresh })
    })
    await assertSameAsLog(kit.chain)
    await using eve = await reopen(kit, { as: person('eve') })
    for (const moved of [note!, other]) expect(await codeOf(eve.chain.get(Note, moved.id))).toBe('NO_READ_KEY')
    await using bob = await reopen(eve, { as: person('bob') })
    expect((await bob.chain.load(Note, note!.id)).value.text).toBe('still secret')
  })
})
