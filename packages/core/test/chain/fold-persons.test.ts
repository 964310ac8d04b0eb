/**
 * Persons in the fold: each rule of a change of keys with the honest act beside it, and what a thief of a device, a
 * removed key, or a manager who wants to be more than one would try.
 */
import { describe, expect, it } from 'vitest'
import { toBinaryText } from '../../src/base/bytes.ts'
import { PERSON_KEYS_MAX } from '../../src/base/limits.ts'
import { encodeAttestation } from '../../src/event/attestation.ts'
import { bytesOfWords, type EntityWords, ROOT_ENTITY } from '../../src/event/entity-words.ts'
import { KIND, OP } from '../../src/event/format.ts'
import type { PersonFields } from '../../src/event/rare-fields.ts'
import {
  type Actor,
  actorOf,
  change,
  create,
  type ForgedEvent,
  type ForgedSession,
  type Forger,
  nameKey,
} from '../../src/testing/chain-kit.ts'
import { newestKey } from '../../src/trust/person.ts'
import { alarms, ann, bob, commits, creates, crypto, devices, eve, forger, outcomesOf, refuses, root } from './kit.ts'

const [phone, tablet, watch, laptop] = devices as [Actor, Actor, Actor, Actor]

const person = (fields: PersonFields | undefined, entity: EntityWords = ROOT_ENTITY): ForgedEvent =>
  change(OP.person, entity, { rare: fields ? { person: fields } : {} })

const ids = (...actors: readonly Actor[]): Uint8Array[] => actors.map(({ id }) => id)

interface Company {
  readonly chain: Forger
  readonly boss: ForgedSession
  readonly owner: ForgedSession
  readonly device: ForgedSession
  readonly role: EntityWords
  readonly own: EntityWords
  readonly room: EntityWords
}

/** Root manages; ann has a phone; `own` is read by ann, `room` by the role of ann and bob; all is at its newest key. */
function company(): Company {
  const chain = forger()
  const boss = chain.session(root)
  const identities = [ann.identity.keys, bob.identity.keys]
  commits(chain, boss, create({ collection: 'c', rare: { identities, policy: { write: ids(ann) } } }))
  const owner = chain.session(ann)
  commits(chain, owner, person(chain.person(ann, 0, [ann, phone], { add: [chain.personKey(phone, ann)] })))
  const fields = chain.role(0, [root, ann, bob], { add: ids(root, ann, bob) })
  const role = creates(chain, boss, create({ collection: 'ate:roles', key: nameKey('crew'), rare: { role: fields } }))
  const list = [bytesOfWords(role)]
  const inRoom = { policy: { read: list, write: list }, epoch: chain.epoch(0, [{ role, generation: 0 }]) }
  const room = creates(chain, boss, create({ collection: 'c', rare: inRoom }))
  const inOwn = { policy: { read: ids(ann), write: ids(ann, root) }, epoch: chain.epoch(0, ids(ann)) }
  const own = creates(chain, boss, create({ collection: 'c', rare: inOwn }))
  return { chain, boss, owner, device: chain.session(phone), role, own, room }
}

/** The next generation without the phone. */
function withoutPhone(chain: Forger, wrapFor: readonly Actor[] = [ann]): PersonFields {
  return chain.person(ann, 1, wrapFor, { remove: ids(phone) })
}

const write = (chain: Forger, parent: EntityWords): ForgedEvent =>
  create({ parent, collection: 'x', body: chain.body(parent) })

const personOf = (chain: Forger, { key }: Actor) => chain.replica.trust.persons.get(key)!

describe('what changes a person', () => {
  it('is an owner, with a key; or who manages the root, without one', () => {
    const { chain, boss, owner, device } = company()
    const add = { add: [chain.personKey(tablet, ann)] }
    refuses(chain, device, [person(chain.person(ann, 0, [tablet], add))], 'NOT_OWNER')
    refuses(chain, device, [person(chain.person(ann, 1, [phone], { remove: ids(ann) }))], 'NOT_OWNER')
    refuses(chain, device, [person({ person: ann.id, remove: ids(ann) })], 'NOT_OWNER')
    refuses(chain, boss, [person(chain.person(ann, 0, [tablet], add))], 'NOT_AUTHORIZED')
    refuses(chain, boss, [person(withoutPhone(chain))], 'NOT_AUTHORIZED')
    refuses(chain, chain.session(bob), [person({ person: ann.id, remove: ids(phone) })], 'NOT_AUTHORIZED')
    // An owner brings the next key with a removal; only who manages the root does without.
    refuses(chain, owner, [person({ person: ann.id, remove: ids(phone) })], 'NOT_AUTHORIZED')
    commits(chain, owner, person(chain.person(ann, 0, [tablet], add)))
    commits(chain, boss, person({ person: ann.id, remove: ids(phone) }))
  })

  it('names a person that the chain knows, and keys that are its own', () => {
    const { chain, boss, owner } = company()
    refuses(chain, boss, [person(undefined)], 'NO_PERSON')
    refuses(chain, boss, [person({ person: eve.id, remove: ids(eve) })], 'NO_PERSON')
    // A key of a person is no person of its own.
    refuses(chain, boss, [person({ person: phone.id, remove: ids(phone) })], 'NO_PERSON')
    refuses(chain, boss, [person({ person: ann.id, remove: ids(bob) })], 'NO_PERSON')
    refuses(chain, owner, [person(chain.person(ann, 1, [ann, phone], { remove: ids(tablet) }))], 'NO_PERSON')
    refuses(chain, owner, [person(chain.person(ann, 1, [ann], { remove: ids(phone, phone) }))], 'NO_PERSON')
    refuses(chain, owner, [person(withoutPhone(chain), { a: 9, b: 9, c: 9, d: 9 })], 'NOT_FOUND')
    commits(chain, owner, person(withoutPhone(chain)))
  })

  it('takes only keys that are new to the chain, with their own consent to this person', () => {
    const { chain, boss, owner } = company()
    const adds = (...keys: ReturnType<Forger['personKey']>[]) => [
      person(chain.person(ann, 0, [], { add: keys, key: { ...chain.person(ann, 0, [tablet]).key! } })),
    ]
    for (const known of [ann, bob, root, phone]) refuses(chain, owner, adds(chain.personKey(known, ann)), 'KEY_IN_USE')
    refuses(chain, owner, adds(chain.personKey(tablet, ann), chain.personKey(tablet, ann)), 'KEY_IN_USE')
    // One that wrote where everyone may has a name of its own, though nobody gave it one.
    const everyone = creates(chain, boss, create({ collection: 'c', rare: { policy: { write: 'everyone' } } }))
    commits(chain, chain.session(watch), create({ parent: everyone, collection: 'x' }))
    refuses(chain, owner, adds(chain.personKey(watch, ann)), 'KEY_IN_USE')
    refuses(chain, owner, adds(chain.personKey(tablet, bob)), 'BAD_CONSENT')
    const other = forger({ seed: 2 })
    refuses(chain, owner, adds(other.personKey(tablet, ann)), 'BAD_CONSENT')
    const { consent } = chain.personKey(laptop, ann)
    refuses(chain, owner, adds({ ...chain.personKey(tablet, ann), consent }), 'BAD_CONSENT')
    const changed = chain.personKey(tablet, ann)
    changed.consent[3]! ^= 1
    refuses(chain, owner, adds(changed), 'BAD_CONSENT')
    commits(chain, owner, ...adds(chain.personKey(tablet, ann)))
    // In two persons: not even after it was removed from the first.
    const bobs = chain.session(bob)
    const take = (key: Actor) => [person(chain.person(bob, 0, [bob, key], { add: [chain.personKey(key, bob)] }))]
    refuses(chain, bobs, take(phone), 'KEY_IN_USE')
    commits(chain, owner, person(chain.person(ann, 1, [ann, tablet], { remove: ids(phone) })))
    refuses(chain, bobs, take(phone), 'KEY_IN_USE')
    refuses(chain, owner, [person(chain.person(ann, 1, [phone], { add: [chain.personKey(phone, ann)] }))], 'KEY_IN_USE')
  })

  it('brings the next key with a removal, or because it may, and wraps it to all who are left', () => {
    const { chain, owner } = company()
    const key = (generation: number, wrapFor: readonly Actor[], fields: Partial<PersonFields> = {}) => [
      person(chain.person(ann, generation, wrapFor, fields)),
    ]
    refuses(chain, owner, key(0, [ann], { remove: ids(phone) }), 'EPOCH_ORDER')
    refuses(chain, owner, key(2, [ann], { remove: ids(phone) }), 'EPOCH_ORDER')
    refuses(chain, owner, key(1, [ann, phone], { remove: ids(phone) }), 'EPOCH_SHAPE')
    refuses(chain, owner, key(1, [], { remove: ids(phone) }), 'EPOCH_SHAPE')
    refuses(chain, owner, key(1, [ann, ann], { remove: ids(phone) }), 'EPOCH_SHAPE')
    refuses(chain, owner, key(1, [phone], { remove: ids(phone) }), 'EPOCH_SHAPE')
    refuses(chain, owner, key(1, [ann, eve]), 'EPOCH_SHAPE')
    refuses(chain, owner, key(1, [ann]), 'EPOCH_SHAPE')
    refuses(chain, owner, key(1, [ann, phone, eve]), 'EPOCH_SHAPE')
    refuses(chain, owner, key(1, [ann, ann]), 'EPOCH_SHAPE')
    refuses(chain, owner, key(0, [bob]), 'EPOCH_SHAPE')
    const { key: next } = chain.person(ann, 1, [ann, phone])
    const numbered = next!.wraps.map((wrap) => ({ ...wrap, generation: 0 }))
    refuses(chain, owner, [person({ person: ann.id, key: { ...next!, wraps: numbered } })], 'EPOCH_SHAPE')
    const { key: same } = chain.person(ann, 0, [])
    refuses(chain, owner, [person({ person: ann.id, key: { ...same!, link: chain.bytes(9) } })], 'EPOCH_SHAPE')
    refuses(chain, owner, [person({ person: ann.id, key: { ...same!, publicKey: next!.publicKey } })], 'EPOCH_SHAPE')
    refuses(chain, owner, key(1, [], { remove: ids(ann, phone) }), 'LAST_OWNER')
    refuses(chain, owner, key(1, [phone], { remove: ids(ann) }), 'LAST_OWNER')
    commits(chain, owner, ...key(1, [ann, phone]), ...key(2, [ann], { remove: ids(phone) }))
    expect(newestKey(personOf(chain, ann))?.number).toBe(2)
  })

  it('begins at 0, and a person has not more keys than wraps fit into an event', () => {
    const { chain, boss } = company()
    const bobs = chain.session(bob)
    refuses(chain, bobs, [person(chain.person(bob, 1, [bob]))], 'EPOCH_ORDER')
    const many = Array.from({ length: PERSON_KEYS_MAX }, (_, i) => actorOf(crypto, `device ${i}`))
    const add = many.map((one) => chain.personKey(one, bob))
    refuses(chain, bobs, [person(chain.person(bob, 0, many, { add }))], 'EPOCH_SHAPE', { max: PERSON_KEYS_MAX })
    commits(chain, bobs, person(chain.person(bob, 0, [bob, ...many.slice(1)], { add: add.slice(1) })))
    refuses(
      chain,
      boss,
      [person({ person: bob.id, remove: ids(bob), add: [chain.personKey(tablet, bob)] })],
      'EPOCH_SHAPE',
    )
    refuses(chain, boss, [person({ person: bob.id })], 'EPOCH_SHAPE')
  })

  it('is void in a chain of level 1, until the root raises the level', () => {
    const chain = forger({ parameters: { level: 1 } })
    const boss = chain.session(root)
    const take = person(chain.person(root, 0, [root, phone], { add: [chain.personKey(phone, root)] }))
    refuses(chain, boss, [take], 'LEVEL_TOO_LOW', { level: 1, needs: 2 })
    refuses(chain, boss, [person({ person: root.id, remove: ids(root) })], 'LEVEL_TOO_LOW')
    commits(chain, boss, change(OP.root, ROOT_ENTITY, { rare: { root: { level: 2 } } }), take)
  })
})

describe('the edges of a change', () => {
  const failing = create({ parent: { a: 9, b: 9, c: 9, d: 9 } })

  it('a device of who manages the root is no manager of its owner', () => {
    const chain = forger()
    const boss = chain.session(root)
    commits(chain, boss, person(chain.person(root, 0, [root, phone], { add: [chain.personKey(phone, root)] })))
    const device = chain.session(phone)
    refuses(chain, device, [person({ person: root.id, remove: ids(root) })], 'NOT_OWNER')
    commits(chain, boss, person({ person: root.id, remove: ids(phone) }))
  })

  it('a person has so many keys that live, and not one more', () => {
    const { chain, owner } = company()
    const { keys } = personOf(chain, ann)
    const fake = { keys: ann.identity.keys, standing: 'device' } as const
    for (let i = 0; i < 9; i++) keys.set(`removed ${i}`, { ...fake, standing: 'removed' })
    for (let i = 2; i < PERSON_KEYS_MAX - 1; i++) keys.set(`device ${i}`, fake)
    const add = (key: Actor) => person(chain.person(ann, 0, [key], { add: [chain.personKey(key, ann)] }))
    commits(chain, owner, add(tablet))
    refuses(chain, owner, [add(watch)], 'EPOCH_SHAPE', { keys: PERSON_KEYS_MAX + 1, max: PERSON_KEYS_MAX })
  })

  it('nothing of it stays, if a later event is refused', () => {
    const { chain, boss, owner } = company()
    const add = person(chain.person(ann, 0, [tablet], { add: [chain.personKey(tablet, ann)] }))
    for (const event of [add, person(withoutPhone(chain)), person(chain.person(ann, 1, [ann, phone]))])
      refuses(chain, owner, [event, failing], 'NOT_FOUND')
    for (const remove of [ids(phone), ids(ann)])
      refuses(chain, boss, [person({ person: ann.id, remove }), failing], 'NOT_FOUND')
  })

  it('who revokes removes, and does nothing else; roles of others do not wait for it', () => {
    const { chain, boss, role } = company()
    const fields = { role: chain.role(0, [root, bob], { name: 'others', add: ids(root, bob) }) }
    creates(chain, boss, create({ collection: 'ate:roles', key: nameKey('others'), rare: fields }))
    refuses(chain, boss, [person({ person: ann.id })], 'EPOCH_SHAPE', { what: 'nothing is removed' })
    refuses(chain, boss, [person({ person: ann.id, remove: [] })], 'EPOCH_SHAPE', { what: 'nothing is removed' })
    const both = { person: ann.id, remove: ids(phone), add: [chain.personKey(tablet, ann)] }
    refuses(chain, boss, [person(both)], 'EPOCH_SHAPE', {
      what: 'a key is added by an owner, with a key of the person',
    })
    commits(chain, boss, person({ person: ann.id, remove: ids(ann) }))
    expect([...chain.replica.trust.roles.values()].map(({ stale }) => stale)).toEqual([true, false])
    const again = chain.role(1, [root, bob, ann], { add: ids(ann) })
    refuses(chain, boss, [change(OP.role, role, { rare: { role: again } })], 'EPOCH_SHAPE', {
      what: 'a member whose keys are not known',
    })
  })
})

describe('a key acts for its person', () => {
  it('with the rights of the person, and ids that follow from the key', () => {
    const { chain, device, own, room } = company()
    commits(chain, device, write(chain, own), write(chain, room))
    const tx = chain.tx(create({ parent: own, collection: 'x' }))
    expect(outcomesOf(chain.write(device, [tx]))).toEqual(['committed'])
    const { a, b, c, d } = chain.idOf(phone, tx)
    expect(chain.replica.view.findLive(a, b, c, d)).toBeGreaterThan(0)
    // Whose it is to name as first member: the person, not the key.
    const made = (first: Actor) => {
      const fields = chain.role(0, [first], { add: ids(first) })
      return create({ parent: own, collection: 'ate:roles', key: nameKey(first.name), rare: { role: fields } })
    }
    refuses(chain, device, [made(phone)], 'NOT_AUTHORIZED')
  })

  it('is no name of its own: not in a policy, not in a role, not when its keys are brought again', () => {
    const { chain, boss, role } = company()
    const identities = [phone.identity.keys]
    const list = (entry: Uint8Array) => [create({ collection: 'c', rare: { identities, policy: { write: [entry] } } })]
    refuses(chain, boss, list(phone.id), 'NO_ROLE')
    const fields = chain.role(0, [phone], { add: ids(phone) })
    refuses(chain, boss, [change(OP.role, role, { rare: { identities, role: fields } })], 'EPOCH_SHAPE')
    commits(chain, boss, ...list(ann.id))
  })

  it('orders records where writers do, and where the person is a sequencer', () => {
    const { chain, boss, own } = company()
    // Before it has written anything, as a device that only stores what others sign.
    chain.write(boss, [chain.tx()], { sequencer: phone.id })
    const device = chain.session(phone)
    commits(chain, device, write(chain, own))
    commits(chain, boss, change(OP.root, ROOT_ENTITY, { rare: { root: { sequencers: ids(ann) } } }))
    commits(chain, device, write(chain, own))
    alarms(chain, () => chain.write(boss, [chain.tx()]), 'BAD_SEQUENCER')
    chain.write(boss, [chain.tx(person({ person: ann.id, remove: ids(phone) }))], { sequencer: ann.id })
    alarms(chain, () => chain.write(device, [chain.tx()]), 'BAD_SEQUENCER')
  })

  it('vouches for other writers where the person manages the root', () => {
    const { chain, boss } = company()
    commits(chain, boss, change(OP.policy, ROOT_ENTITY, { rare: { policy: { manage: ids(root, ann) } } }))
    const by = { by: phone.id }
    alarms(chain, () => chain.feed(chain.attestation(boss, by, tablet)), 'BAD_ATTESTATION', { what: 'signature' })
    chain.feed(chain.attestation(boss, by, phone))
    commits(chain, boss, person({ person: ann.id, remove: ids(phone) }))
    alarms(chain, () => chain.feed(chain.attestation(boss, by, phone)), 'BAD_ATTESTATION', {
      what: 'who adopts must manage the root',
    })
    // Nor under the name of a person: its name signs nothing, its keys do.
    const successor = chain.person(ann, 2, [tablet], { add: [chain.personKey(tablet, ann, 'owner')], remove: ids(ann) })
    commits(chain, chain.session(ann), person(successor))
    alarms(chain, () => chain.feed(chain.attestation(boss, { by: ann.id }, ann)), 'BAD_ATTESTATION')
    chain.feed(chain.attestation(boss, { by: tablet.id }, tablet))
  })

  it('ends no certificates of the other keys, unless the person manages the root', () => {
    const { chain, boss, owner, device, own } = company()
    commits(chain, device, write(chain, own))
    const end = (session: ForgedSession) =>
      change(OP.endCertificate, ROOT_ENTITY, { rare: { certificate: session.id } })
    refuses(chain, device, [end(owner)], 'NOT_AUTHORIZED')
    refuses(chain, owner, [end(device)], 'NOT_AUTHORIZED')
    commits(chain, boss, end(device))
  })
})

describe('a removed key', () => {
  it('ends with all of its certificates: a kept one, one that was never used, a new one, its own next transaction', () => {
    const { chain, owner, own } = company()
    const [used, unused] = [chain.session(phone), chain.session(phone)]
    commits(chain, used, write(chain, own))
    commits(
      chain,
      owner,
      person(withoutPhone(chain)),
      change(OP.epoch, own, { rare: { epoch: chain.epoch(1, [{ person: ann.id, generation: 1 }]) } }),
    )
    expect(chain.replica.trust.certificates.get(toBinaryText(used.id))?.ended).toBe(true)
    const tx = chain.tx(write(chain, own))
    expect(outcomesOf(chain.write(used, [tx]))).toEqual(['CERT_ENDED'])
    expect(outcomesOf(chain.write(unused, [tx]))).toEqual(['KEY_REMOVED'])
    expect(outcomesOf(chain.write(chain.session(phone, { keys: phone.identity.keys }), [tx, chain.tx()]))).toEqual([
      'KEY_REMOVED',
      'KEY_REMOVED',
    ])
    // Its commits from before are attested all the same.
    const body = encodeAttestation(crypto, chain.attestationBody(used), (message) =>
      phone.identity.sign(message, 'attestation'),
    )
    chain.feed(chain.other(KIND.attestation, body, { sequencer: phone.id }))
    expect(chain.replica.trust.certificates.get(toBinaryText(used.id))?.unattested).toEqual([])
    expect(chain.replica.trust.certificates.has(toBinaryText(unused.id))).toBe(false)
    commits(chain, owner, write(chain, own))
  })

  it('does nothing behind its own removal, in the commit that brings its certificate', () => {
    const { chain, own } = company()
    const leaving = chain.session(ann)
    const fields = chain.person(ann, 1, [phone, tablet], {
      add: [chain.personKey(tablet, ann, 'owner')],
      remove: ids(ann),
    })
    const epoch = chain.epoch(1, [{ person: ann.id, generation: 1 }])
    const accepted = chain.write(leaving, [
      // Who the author is was settled before the first event of its transaction.
      chain.tx(person(fields), change(OP.epoch, own, { rare: { epoch } })),
      chain.tx(write(chain, own)),
    ])
    expect(outcomesOf(accepted)).toEqual(['committed', 'KEY_REMOVED'])
    expect(outcomesOf(chain.write(leaving, [chain.tx()]))).toEqual(['CERT_ENDED'])
    commits(chain, chain.session(tablet), write(chain, own))
  })

  it('is not everyone: where everyone manages the root it recovers and vouches for nothing, nor does a stranger', () => {
    const { chain, boss, owner } = company()
    commits(chain, owner, person(withoutPhone(chain)))
    commits(chain, boss, change(OP.policy, ROOT_ENTITY, { rare: { policy: { manage: 'everyone' } } }))
    for (const key of [phone, eve]) {
      alarms(chain, () => chain.feed(chain.recovery(key)), 'BAD_RECOVERY', {
        what: 'who recovers must manage the root',
      })
      alarms(chain, () => chain.feed(chain.attestation(boss, { by: key.id }, key)), 'BAD_ATTESTATION', {
        what: 'who adopts must manage the root',
      })
    }
    chain.feed(chain.attestation(boss, { by: bob.id }, bob))
    chain.feed(chain.recovery(bob))
  })

  it('does not come back under the name of the person, which it gave', () => {
    const { chain, boss, own } = company()
    const fields = chain.person(ann, 1, [phone, tablet], {
      add: [chain.personKey(tablet, ann, 'owner')],
      remove: ids(ann),
    })
    commits(chain, chain.session(ann), person(fields))
    expect(outcomesOf(chain.write(chain.session(ann), [chain.tx(write(chain, own))]))).toEqual(['KEY_REMOVED'])
    // The name is as good as before; the key is no key of anybody, also if it is brought anew.
    commits(
      chain,
      boss,
      create({ collection: 'c', rare: { identities: [ann.identity.keys], policy: { write: ids(ann) } } }),
    )
    expect(outcomesOf(chain.write(chain.session(ann), [chain.tx()]))).toEqual(['KEY_REMOVED'])
    refuses(
      chain,
      chain.session(tablet),
      [person(chain.person(ann, 1, [ann], { add: [chain.personKey(ann, ann)] }))],
      'KEY_IN_USE',
    )
    const everyone = creates(chain, boss, create({ collection: 'c', rare: { policy: { write: 'everyone' } } }))
    expect(
      outcomesOf(chain.write(chain.session(ann), [chain.tx(create({ parent: everyone, collection: 'x' }))])),
    ).toEqual(['KEY_REMOVED'])
  })
})

describe('what is wrapped to a person', () => {
  it('is wrapped to its newest key, and once that changes, epochs and roles wait for the next', () => {
    const { chain, boss, owner, own, room, role } = company()
    const epoch = (node: EntityWords, generation: number, number = 1) =>
      change(OP.epoch, node, { rare: { epoch: chain.epoch(number, [{ person: ann.id, generation }]) } })
    for (const generation of [undefined, 1]) refuses(chain, boss, [epoch(own, generation as number)], 'EPOCH_SHAPE')
    commits(chain, owner, person(withoutPhone(chain)))
    refuses(chain, owner, [write(chain, own)], 'STALE_EPOCH')
    refuses(chain, owner, [write(chain, room)], 'STALE_EPOCH')
    refuses(chain, owner, [epoch(own, 0)], 'EPOCH_SHAPE')
    refuses(chain, owner, [epoch(own, undefined as never)], 'EPOCH_SHAPE')
    // The removed phone as a reader of its own beside the person, or in its place.
    const both = chain.epoch(1, [{ person: ann.id, generation: 1 }, phone.id])
    refuses(chain, owner, [change(OP.epoch, own, { rare: { epoch: both } })], 'EPOCH_SHAPE')
    refuses(chain, owner, [change(OP.epoch, own, { rare: { epoch: chain.epoch(1, [phone.id]) } })], 'EPOCH_SHAPE')
    commits(chain, owner, epoch(own, 1))
    commits(chain, owner, write(chain, own))
    // A node of the role: not before the role has its next key, at ann's newest.
    const inRoom = (generation: number) =>
      change(OP.epoch, room, { rare: { epoch: chain.epoch(1, [{ role, generation }]) } })
    refuses(chain, boss, [inRoom(0)], 'EPOCH_SHAPE')
    refuses(chain, boss, [inRoom(1)], 'EPOCH_SHAPE')
    commits(chain, boss, change(OP.role, role, { rare: { role: chain.role(1, [root, ann, bob]) } }), inRoom(1))
    commits(chain, boss, write(chain, room))
  })

  it('a role that waits takes its next key from any member, who changes nobody', () => {
    const { chain, boss, owner, role } = company()
    const bobs = chain.session(bob)
    const all = [root, ann, bob]
    const next = (fields = {}) => change(OP.role, role, { rare: { role: chain.role(1, all, fields) } })
    refuses(chain, bobs, [next()], 'NOT_AUTHORIZED')
    commits(chain, owner, person(withoutPhone(chain)))
    const identities = [eve.identity.keys]
    commits(chain, boss, create({ collection: 'c', rare: { identities, policy: { write: ids(eve) } } }))
    refuses(chain, chain.session(eve), [next()], 'NOT_AUTHORIZED')
    refuses(chain, bobs, [next({ add: ids(bob) })], 'NOT_AUTHORIZED')
    refuses(chain, bobs, [next({ remove: ids(root) })], 'NOT_AUTHORIZED')
    refuses(chain, bobs, [next({ add: [] })], 'NOT_AUTHORIZED')
    const wraps = [chain.wrap(root.id), chain.wrap(bob.id)]
    refuses(chain, bobs, [next({ wraps })], 'EPOCH_SHAPE')
    refuses(chain, bobs, [next({ wraps: [...wraps, chain.wrap(phone.id)] })], 'EPOCH_SHAPE')
    for (const generation of [undefined, 0, 2])
      refuses(chain, bobs, [next({ wraps: [...wraps, chain.wrap({ person: ann.id, generation })] })], 'EPOCH_SHAPE')
    // Who manages it may not leave it at its old key either.
    const stays = chain.role(0, [], {})
    refuses(chain, boss, [change(OP.role, role, { rare: { role: stays } })], 'EPOCH_ORDER')
    commits(chain, bobs, next())
    refuses(chain, bobs, [change(OP.role, role, { rare: { role: chain.role(2, all) } })], 'NOT_AUTHORIZED')
  })

  it('who revokes brings no key: it is an owner’s own until an owner makes the next', () => {
    const { chain, boss, owner, own } = company()
    commits(chain, boss, person({ person: ann.id, remove: ids(phone) }))
    const lent = newestKey(personOf(chain, ann))!
    expect([lent.number, lent.wraps.size, lent.publicKey]).toEqual([1, 0, ann.identity.kemKey])
    refuses(chain, owner, [write(chain, own)], 'STALE_EPOCH')
    commits(chain, owner, change(OP.epoch, own, { rare: { epoch: chain.epoch(1, ids(ann)) } }))
    commits(chain, owner, write(chain, own))
    // Nobody is added to a key that has no secret of its own.
    const add = { add: [chain.personKey(tablet, ann)] }
    const { key } = chain.person(ann, 1, [tablet])
    const shared = { person: ann.id, ...add, key: { ...key!, publicKey: lent.publicKey } }
    refuses(chain, owner, [person(shared)], 'EPOCH_ORDER')
    commits(chain, owner, person(chain.person(ann, 2, [ann, tablet], add)))
  })

  it('an end takes the name out of all that names it', () => {
    const { chain, boss, device, own, room, role } = company()
    commits(chain, boss, person({ person: ann.id, remove: ids(ann) }))
    expect(personOf(chain, ann).keys.get(phone.key)?.standing).toBe('removed')
    expect(outcomesOf(chain.write(device, [chain.tx(write(chain, own))]))).toEqual(['KEY_REMOVED'])
    expect([...chain.replica.trust.roles.values()][0]!.members).toEqual(new Set([root.key, bob.key]))
    refuses(chain, boss, [write(chain, own)], 'STALE_EPOCH')
    refuses(chain, boss, [change(OP.epoch, own, { rare: { epoch: chain.epoch(1, ids(ann)) } })], 'EPOCH_SHAPE')
    // Nobody is left to read it: who manages names others.
    const read = { policy: { read: ids(root) }, epoch: chain.epoch(1, ids(root)) }
    commits(chain, boss, change(OP.policy, own, { rare: read }))
    commits(chain, boss, write(chain, own))
    const again = chain.role(1, [root, bob, ann], { add: ids(ann) })
    refuses(chain, boss, [change(OP.role, role, { rare: { role: again } })], 'EPOCH_SHAPE')
    refuses(chain, boss, [create({ collection: 'c', rare: { policy: { write: ids(ann) } } })], 'NO_ROLE')
    commits(
      chain,
      boss,
      change(OP.role, role, { rare: { role: chain.role(1, [root, bob]) } }),
      change(OP.epoch, room, { rare: { epoch: chain.epoch(1, [{ role, generation: 1 }]) } }),
    )
    refuses(chain, boss, [person({ person: ann.id, remove: ids(ann) })], 'NO_PERSON')
  })

  it('LAST_MANAGER: the root keeps somebody who manages it, by name or by a role', () => {
    const { chain, boss } = company()
    const end = (actor: Actor) => [person({ person: actor.id, remove: ids(actor) })]
    refuses(chain, boss, end(root), 'LAST_MANAGER')
    commits(chain, boss, change(OP.policy, ROOT_ENTITY, { rare: { policy: { manage: ids(root, bob) } } }))
    commits(chain, boss, ...end(bob))
    refuses(chain, boss, end(root), 'LAST_MANAGER')
    refuses(chain, boss, [change(OP.policy, ROOT_ENTITY, { rare: { policy: { manage: ids(bob) } } })], 'NO_ROLE')
  })
})
