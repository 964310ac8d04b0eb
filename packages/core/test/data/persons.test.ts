/** Persons: devices that come and go, rotation and revocation of identities, and who reads what before and after. */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { fingerprintOf } from '../../src/base/ids.ts'
import type { Chain } from '../../src/data/chain.ts'
import { role } from '../../src/data/policy-input.ts'
import { consentTo } from '../../src/session/consent-text.ts'
import {
  assertSameAsLog,
  codeOf,
  crypto,
  type Kit,
  memoryChain,
  Note,
  person,
  quickPlatform,
  reopen,
  Thing,
  turns,
} from './kit.ts'

const id = (name: string) => person(name).publicId
const mark = (name: string) => person(name).fingerprint
const ROOT = '00000000000000000000000000'

/** What a key of another device gives, to be taken in by the person's owner. */
function consent(chain: Chain, key: string, of: string) {
  return consentTo(person(key), { chain: chain.id, person: id(of) }, { crypto })
}

function standings(chain: Chain, of?: string) {
  return chain.person(of === undefined ? undefined : id(of))?.keys.map((key) => [key.fingerprint, key.standing])
}

async function read(kit: Kit, ref: { readonly id: string }): Promise<string> {
  return kit.chain.load(Note, ref.id).then(
    ({ value }) => value.text,
    (error) => error.code,
  )
}

/** What every value that the note ever had says to this session. */
async function history({ chain }: Kit, note: { readonly id: string }): Promise<string[]> {
  const values: string[] = []
  for await (const event of chain.events({ until: 'end' })) {
    if (event.entity !== note.id || (event.op !== 'create' && event.op !== 'put')) continue
    const text = event.value(Note).then(
      (value) => value.text,
      (error) => error.code,
    )
    values.push(await text)
  }
  return values
}

describe('a device', () => {
  it('acts for its person, reads what the person reads, and opens the chain without a pin', async () => {
    await using kit = await memoryChain()
    const [own, crew] = await kit.chain.transact((tx) => {
      tx.role('crew').add(id('bob'))
      return [
        tx.create(Note, { text: 'own' }, { read: [id('alice')] }),
        tx.create(Note, { text: 'crew' }, { read: [role('crew')], write: [role('crew')] }),
      ]
    })
    expect(kit.chain.person()).toBeUndefined()
    await kit.chain.transact((tx) => tx.person().add(consent(kit.chain, 'phone', 'alice')))
    expect(standings(kit.chain)).toEqual([
      [mark('alice'), 'owner'],
      [mark('phone'), 'device'],
    ])
    await assertSameAsLog(kit.chain)
    await using phone = await reopen(kit, { as: person('phone'), id: undefined as never })
    expect(phone.chain.identity).toBe(mark('phone'))
    expect(phone.chain.person()?.fingerprint).toBe(mark('alice'))
    expect([await read(phone, own!), await read(phone, crew!)]).toEqual(['own', 'crew'])
    await phone.chain.transact((tx) => tx.update(Note, own!.id, () => ({ text: 'by phone' })))
    // Its own public id means its person; what it makes is the person's to change.
    const mine = await phone.chain.transact((tx) => {
      tx.role('pals').add(id('carol'))
      return tx.create(Note, { text: 'mine' }, { read: [id('phone'), role('pals')], write: [id('phone')] })
    })
    await assertSameAsLog(phone.chain)
    await using alice = await reopen(phone)
    expect([await read(alice, own!), await read(alice, mine)]).toEqual(['by phone', 'mine'])
    await alice.chain.transact((tx) => tx.update(Note, mine.id, () => ({ text: 'ours' })))
    await using carol = await reopen(alice, { as: person('carol') })
    expect(await read(carol, mine)).toBe('ours')
    expect(await codeOf(carol.chain.transact((tx) => tx.delete(mine.id)))).toBe('NOT_AUTHORIZED')
  })

  it('that is removed reads nothing newer and writes nothing, whatever it kept', async () => {
    await using kit = await memoryChain()
    const [own, crew] = await kit.chain.transact((tx) => {
      tx.role('crew').add(id('bob'))
      return [
        tx.create(Note, { text: 'own 1' }, { read: [id('alice')] }),
        tx.create(Note, { text: 'crew 1' }, { read: [role('crew')], write: [role('crew')] }),
      ]
    })
    await kit.chain.transact((tx) => {
      tx.person().add(consent(kit.chain, 'phone', 'alice'))
      tx.person().add(consent(kit.chain, 'tablet', 'alice'))
    })
    await using phone = await reopen(kit, { as: person('phone') })
    await phone.chain.transact((tx) => tx.update(Note, own!.id, () => ({ text: 'own 2' })))
    await using alice = await reopen(phone)
    const removal = await alice.chain.transact((tx) => tx.person().remove(mark('phone')))
    expect({ ...removal, couldRead: new Set(removal.couldRead) }).toEqual({
      couldRead: new Set([ROOT, own!.id, crew!.id]),
      rekeyed: removal.couldRead,
      stale: [],
    })
    expect(alice.chain.writers().find(({ identity }) => identity === mark('phone'))?.ended).toBe(true)
    await alice.chain.transact(async (tx) => {
      await tx.update(Note, own!.id, () => ({ text: 'own 3' }))
      await tx.update(Note, crew!.id, () => ({ text: 'crew 2' }))
    })
    await assertSameAsLog(alice.chain)
    await using gone = await reopen(alice, { as: person('phone') })
    expect(await history(gone, own!)).toEqual(['own 1', 'own 2', 'NO_READ_KEY'])
    expect(await history(gone, crew!)).toEqual(['crew 1', 'NO_READ_KEY'])
    expect(await codeOf(gone.chain.transact((tx) => tx.create(Note, { text: 'x' })))).toBe('KEY_REMOVED')
    expect(await codeOf(gone.chain.transact((tx) => tx.person(id('alice')).renew()))).toBe('NOT_OWNER')
    await using tablet = await reopen(gone, { as: person('tablet') })
    expect(await history(tablet, own!)).toEqual(['own 1', 'own 2', 'own 3'])
    await using bob = await reopen(tablet, { as: person('bob') })
    expect(await history(bob, crew!)).toEqual(['crew 1', 'crew 2'])
    await using again = await reopen(bob)
    const add = again.chain.transact((tx) => tx.person().add(consent(again.chain, 'phone', 'alice')))
    expect(await codeOf(add)).toBe('KEY_IN_USE')
    expect(await codeOf(again.chain.transact((tx) => tx.role('crew').add(id('phone'))))).toBe('KEY_REMOVED')
  })

  it('changes nothing of its person, also where the person manages the root', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.person().add(person('phone')))
    await using phone = await reopen(kit, { as: person('phone') })
    const change = (run: Parameters<typeof phone.chain.transact>[0]) => codeOf(phone.chain.transact(run))
    expect(await change((tx) => tx.person().add(person('eve')))).toBe('NOT_OWNER')
    expect(await change((tx) => tx.person().remove(mark('alice')))).toBe('NOT_OWNER')
    expect(await change((tx) => tx.person().remove(mark('phone')))).toBe('NOT_OWNER')
    expect(await change((tx) => tx.person().renew())).toBe('NOT_OWNER')
    expect(await change((tx) => tx.person().rotate(person('eve')))).toBe('NOT_OWNER')
  })

  it('is taken only with its own consent, to this person of this chain', async () => {
    await using kit = await memoryChain()
    await using other = await memoryChain({}, quickPlatform(2))
    const add = (given: unknown) => codeOf(kit.chain.transact((tx) => tx.person().add(given as never)))
    expect(await add(consent(other.chain, 'phone', 'alice'))).toBe('BAD_CONSENT')
    expect(await add(consent(kit.chain, 'phone', 'bob'))).toBe('BAD_CONSENT')
    expect(await add(id('phone'))).toBe('BAD_CONSENT')
    expect(await add(undefined)).toBe('BAD_CONSENT')
    expect(await codeOf(() => consentTo(person('phone'), { chain: 'x', person: id('alice') }, { crypto }))).toBe(
      'BAD_ID',
    )
    expect(await codeOf(kit.chain.transact((tx) => tx.person('x')))).toBe('BAD_ID')
    expect(
      await codeOf(kit.chain.transact((tx) => tx.person().add(person('phone'), { standing: 'boss' as never }))),
    ).toBe('BAD_ARGUMENT')
    expect(await codeOf(kit.chain.transact((tx) => tx.person().remove(mark('eve'))))).toBe('NO_PERSON')
    expect(kit.chain.persons()).toEqual([])
  })

  it('has the standing that its owner gives it, as one device if nothing is said', async () => {
    await using kit = await memoryChain()
    for (const [key, options] of [
      ['pad', { standing: 'owner' }],
      ['phone', { standing: 'device' }],
      ['tablet', {}],
    ] as const)
      await kit.chain.transact((tx) => tx.person().add(consent(kit.chain, key, 'alice'), options))
    expect(standings(kit.chain, 'alice')?.map(([, standing]) => standing)).toEqual([
      'owner',
      'owner',
      'device',
      'device',
    ])
  })

  it('of nobody opens no chain unpinned because somebody made its identity known and revoked it there', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.role('crew').add(id('bob')))
    await kit.chain.transact((tx) => tx.person(id('bob')).remove(mark('bob')))
    expect(await codeOf(reopen(kit, { as: person('bob'), id: undefined as never }))).toBe('NOT_PINNED')
  })
})

describe('rotation', () => {
  it('hands a person over: the successor reads all of it and manages the chain, the old key does nothing', async () => {
    await using kit = await memoryChain()
    const [own, crew] = await kit.chain.transact((tx) => {
      tx.role('crew').add(id('bob'))
      return [
        tx.create(Note, { text: 'own 1' }, { read: [id('alice')] }),
        tx.create(Note, { text: 'crew 1' }, { read: [role('crew')], write: [role('crew')] }),
      ]
    })
    const plain = await kit.chain.transact((tx) => tx.create(Note, { text: 'plain' }))
    const removal = await kit.chain.transact((tx) => {
      tx.settings({ checkpointKeys: [kit.chain.checkpointKey(person('alice2'))] })
      return tx.person().rotate(person('alice2'))
    })
    expect(removal.stale).toEqual([])
    expect(new Set(removal.rekeyed)).toEqual(new Set([ROOT, own!.id, crew!.id]))
    expect(await codeOf(kit.chain.transact((tx) => tx.create(Note, { text: 'x' })))).toBe('KEY_REMOVED')
    // Records that are no commit would be stored before the fold judges them: a manager that was, adopts no more.
    const waiting = kit.chain.writers().find(({ unattested }) => unattested > 0)!
    for (const run of [() => kit.chain.checkpoint(), () => kit.chain.adopt(waiting.id)])
      expect(await codeOf(run())).toBe('KEY_REMOVED')
    await assertSameAsLog(kit.chain)
    await using next = await reopen(kit, { as: person('alice2'), id: undefined as never })
    // What the old key wrote was attested by it at close: nothing waits for an adoption.
    expect(new Set(next.chain.writers().map(({ unattested }) => unattested))).toEqual(new Set([0]))
    expect(standings(next.chain, 'alice')).toEqual([
      [mark('alice'), 'removed'],
      [mark('alice2'), 'owner'],
    ])
    expect([await read(next, own!), await read(next, crew!), await read(next, plain)]).toEqual([
      'own 1',
      'crew 1',
      'plain',
    ])
    await next.chain.transact(async (tx) => {
      await tx.update(Note, own!.id, () => ({ text: 'own 2' }))
      tx.role('crew').add(id('carol'))
      tx.setPolicy(ROOT, { manage: [id('alice'), id('bob')] })
    })
    expect((await next.chain.checkpoint()).seq).toBeGreaterThan(0)
    await assertSameAsLog(next.chain)
    await using old = await reopen(next, { as: person('alice') })
    expect(await history(old, own!)).toEqual(['own 1', 'NO_READ_KEY'])
    expect(await codeOf(old.chain.transact((tx) => tx.create(Note, { text: 'x' })))).toBe('KEY_REMOVED')
    await using again = await reopen(old, { as: person('alice2') })
    await again.chain.transact((tx) => tx.person().rotate(person('alice3')))
    await using third = await reopen(again, { as: person('alice3') })
    expect(await history(third, own!)).toEqual(['own 1', 'own 2'])
    expect(third.chain.person()?.generation).toBe(1)
  })

  it('of a plain reader hands over what others have sealed, once somebody who may starts the next epoch', async () => {
    await using kit = await memoryChain()
    const note = await kit.chain.transact((tx) => {
      tx.role('readers').add(id('bob'))
      return tx.create(Note, { text: '1' }, { read: [id('alice'), role('readers')], write: [id('alice')] })
    })
    await using bob = await reopen(kit, { as: person('bob') })
    const first = await bob.chain.transact((tx) => tx.person().rotate(person('bob2')))
    expect(first).toEqual({ couldRead: [note.id], rekeyed: [], stale: [note.id] })
    await using next = await reopen(bob, { as: person('bob2') })
    expect(await read(next, note)).toBe('NO_READ_KEY')
    await using alice = await reopen(next)
    await alice.chain.transact((tx) => tx.update(Note, note.id, () => ({ text: '2' })))
    await assertSameAsLog(alice.chain)
    await using again = await reopen(alice, { as: person('bob2') })
    expect(await history(again, note)).toEqual(['1', '2'])
    // From the second key on, what was wrapped to an older one stays open to the next.
    await again.chain.transact((tx) => tx.person().rotate(person('bob3')))
    await using third = await reopen(again, { as: person('bob3') })
    expect(await history(third, note)).toEqual(['1', '2'])
    await using old = await reopen(third, { as: person('bob') })
    expect(await history(old, note)).toEqual(['1', 'NO_READ_KEY'])
  })
})

describe('a revocation by who manages the root', () => {
  it('takes a device out, and learns no key: an owner reads on, other devices after his next change', async () => {
    await using kit = await memoryChain()
    const [note, crew] = await kit.chain.transact((tx) => {
      tx.role('crew').add(id('bob'))
      return [
        tx.create(Note, { text: '1' }, { read: [id('bob')], write: [id('bob'), id('alice')] }),
        tx.create(Note, { text: 'c1' }, { read: [role('crew')], write: [role('crew')] }),
      ]
    })
    await kit.chain.transact((tx) => tx.role('crew').remove(id('alice')))
    await using bob = await reopen(kit, { as: person('bob') })
    await bob.chain.transact((tx) => {
      tx.person().add(person('phone'))
      tx.person().add(person('tablet'))
    })
    await using alice = await reopen(bob)
    expect(await codeOf(alice.chain.transact((tx) => tx.person(id('bob')).add(person('eve'))))).toBe('NO_READ_KEY')
    expect(await codeOf(alice.chain.transact((tx) => tx.person(id('bob')).renew()))).toBe('NOT_OWNER')
    const removal = await alice.chain.transact((tx) => tx.person(id('bob')).remove(mark('phone')))
    expect({ rekeyed: removal.rekeyed, stale: removal.stale.length }).toEqual({ rekeyed: [], stale: 2 })
    await assertSameAsLog(alice.chain)
    await using owner = await reopen(alice, { as: person('bob') })
    await owner.chain.transact(async (tx) => {
      await tx.update(Note, note!.id, () => ({ text: '2' }))
      await tx.update(Note, crew!.id, () => ({ text: 'c2' }))
    })
    await assertSameAsLog(owner.chain)
    await using before = await reopen(owner, { as: person('tablet') })
    expect(await history(before, note!)).toEqual(['1', 'NO_READ_KEY'])
    await using renewing = await reopen(before, { as: person('bob') })
    await renewing.chain.transact((tx) => tx.person().renew())
    await using tablet = await reopen(renewing, { as: person('tablet') })
    expect(await history(tablet, note!)).toEqual(['1', '2'])
    expect(await history(tablet, crew!)).toEqual(['c1', 'c2'])
    for (const name of ['phone', 'alice']) {
      await using out = await reopen(tablet, { as: person(name) })
      expect(await history(out, note!), name).not.toContain('2')
      expect(await history(out, crew!), name).not.toContain('c2')
      await out.chain.close()
    }
  })

  it('of the last owner ends the person: its name names nobody, its devices act for nobody', async () => {
    await using kit = await memoryChain()
    const note = await kit.chain.transact((tx) => {
      tx.role('crew').add(id('bob'))
      return tx.create(Note, { text: '1' }, { read: [id('bob'), role('crew')], write: [id('bob'), role('crew')] })
    })
    await using bob = await reopen(kit, { as: person('bob') })
    await bob.chain.transact((tx) => tx.person().add(person('phone')))
    await using alice = await reopen(bob)
    const removal = await alice.chain.transact((tx) => tx.person(id('bob')).remove(mark('bob')))
    expect(removal).toEqual({ couldRead: [note.id], rekeyed: [note.id], stale: [] })
    expect(alice.chain.person(id('bob'))?.revoked).toBe(true)
    await alice.chain.transact((tx) => tx.update(Note, note.id, () => ({ text: '2' })))
    expect(await codeOf(alice.chain.transact((tx) => tx.role('crew').add(id('bob'))))).toBe('EPOCH_SHAPE')
    expect(await codeOf(alice.chain.transact((tx) => tx.create(Note, { text: '' }, { write: [id('bob')] })))).toBe(
      'NO_ROLE',
    )
    await assertSameAsLog(alice.chain)
    await using phone = await reopen(alice, { as: person('phone') })
    expect(await history(phone, note)).toEqual(['1', 'NO_READ_KEY'])
    expect(await codeOf(phone.chain.transact((tx) => tx.create(Note, { text: '' }, { parent: note.id })))).toBe(
      'KEY_REMOVED',
    )
  })

  it('does not take the last manager of the root', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.setPolicy(ROOT, { manage: [id('alice'), id('bob')] }))
    await kit.chain.transact((tx) => tx.person(id('bob')).remove(mark('bob')))
    await kit.chain.transact((tx) => tx.person().add(person('phone')))
    expect(await codeOf(kit.chain.transact((tx) => tx.person().remove(mark('alice'))))).toBe('LAST_OWNER')
    expect(await codeOf(kit.chain.transact((tx) => tx.person().remove(mark('alice'))))).toBe('LAST_OWNER')
  })
})

describe('a change of keys', () => {
  it('goes with what else a transaction does, in any order of calls', async () => {
    await using kit = await memoryChain()
    const [box, note] = await kit.chain.transact((tx) => {
      tx.role('crew').add(id('bob'))
      return [
        tx.create(Thing, 'box', { read: [role('crew')], write: [role('crew')] }),
        tx.create(Note, { text: '1' }, { read: [id('alice')] }),
      ]
    })
    await kit.chain.transact(async (tx) => {
      await tx.update(note as never, () => ({ text: '2' }) as never)
      tx.create(Note, { text: 'new' }, { read: [id('alice'), role('crew')] })
      tx.role('crew').add(id('carol'))
      tx.role('fresh').add(id('dave'))
      tx.create(Note, { text: 'fresh' }, { parent: box!.id, read: [role('fresh'), id('alice')] })
      tx.person().add(person('phone'))
      tx.setPolicy(note!.id, { read: [id('alice'), role('crew')] })
      tx.role('crew').remove(id('bob'))
    })
    await assertSameAsLog(kit.chain)
    await using phone = await reopen(kit, { as: person('phone') })
    expect(await history(phone, note as never)).toEqual(['1', '2'])
    await using carol = await reopen(phone, { as: person('carol') })
    expect(await read(carol, note!)).toBe('2')
  })
})

describe('a revocation that passes by', () => {
  it('is a conflict for who changes the person meanwhile: his function runs again', async () => {
    await using kit = await memoryChain()
    let runs = 0
    await kit.chain.transact(async (tx) => {
      tx.person().add(person('phone'))
      if (runs++ === 0) await kit.chain.transact((other) => other.person().add(person('tablet')))
    })
    expect([runs, kit.chain.person()?.keys.length]).toEqual([2, 3])
    await assertSameAsLog(kit.chain)
  })

  it('reaches what was staged behind it, and what waits for its turn', async () => {
    await using kit = await memoryChain()
    kit.engine.hold()
    const first = kit.chain.transact((tx) => tx.create(Note, { text: '1' }))
    const rotation = kit.chain.transact((tx) => tx.person().rotate(person('alice2')))
    const late = kit.chain.transact((tx) => tx.create(Note, { text: '2' }))
    const checkpoint = kit.chain.checkpoint()
    const codes = [codeOf(late), codeOf(checkpoint)]
    kit.engine.release()
    await Promise.all([first, rotation])
    expect(await Promise.all(codes)).toEqual(['KEY_REMOVED', 'KEY_REMOVED'])
    await assertSameAsLog(kit.chain)
  })

  it('is taken back with an append that fails, and the key acts on', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.create(Note, { text: '0' }))
    kit.engine.failNext = new AteError('DISK_FULL')
    expect(await codeOf(kit.chain.transact((tx) => tx.person().rotate(person('alice2'))))).toBe('DISK_FULL')
    await kit.chain.transact((tx) => tx.create(Note, { text: '1' }))
    expect(kit.chain.persons()).toEqual([])
    await assertSameAsLog(kit.chain)
  })
})

describe('a certificate', () => {
  it('that its successor has ended stays ended when the removal of its key is taken back', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.person().add(consent(kit.chain, 'phone', 'alice')))
    await using phone = await reopen(kit, { as: person('phone') })
    await phone.chain.transact((tx) => tx.create(Note, { text: 'by phone' }))
    await using owner = await reopen(phone)
    const { replica } = owner.core
    const [first] = [...replica.trust.certificates.values()].filter(
      ({ identityBytes }) => fingerprintOf(identityBytes) === mark('phone'),
    )
    owner.engine.hold()
    const removing = codeOf(owner.chain.transact((tx) => tx.person().remove(mark('phone'))))
    await turns()
    expect(first!.ended).toBe(true)
    // As a writer's own successor comes, below what is staged.
    const { id: chain, identityBytes: identity, session, until } = first!
    const next = { ...first!, id: new Uint8Array(32).fill(7), ended: false, unattested: [] }
    replica.addCertificate(next, { chain, identity, session, until, after: first!.id })
    owner.engine.failNext = new AteError('DISK_FULL', {})
    owner.engine.release()
    expect(await removing).toBe('DISK_FULL')
    expect([first!.ended, next.ended]).toEqual([true, false])
  })
})
