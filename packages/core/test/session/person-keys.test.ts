/** Secrets of persons: who reaches which generation, by wraps and down the links, and what is forged. */
import { describe, expect, it } from 'vitest'
import { toBinaryText } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import { PersonKeys } from '../../src/session/person-keys.ts'
import { seededRandom } from '../../src/testing/random.ts'
import type { Person } from '../../src/trust/person.ts'
import type { RoleGeneration } from '../../src/trust/policy.ts'

const crypto = nodeProvider()
/** One for all: no two secrets are the same. */
const random = seededRandom(9)
const chainId = new Uint8Array(32).fill(7)
const [owner, device, later] = [1, 2, 3].map((seed) => newIdentity({ crypto, random: seededRandom(seed) })) as [
  Identity,
  Identity,
  Identity,
]
const nameOf = ({ fingerprintBytes }: Identity): string => toBinaryText(fingerprintBytes)
const NAME = nameOf(owner)

function keysOf(identity: Identity, chain = chainId): PersonKeys {
  return new PersonKeys({ crypto, random, chainId: chain, identity })
}

function person(generations: RoleGeneration[] = [], name = NAME): Person {
  return { name, keys: new Map(), generations, rotatedAt: 0 }
}

/** The next generation for these keys, made by the owner. */
function next(before: Person, ...identities: readonly Identity[]): RoleGeneration {
  const keys = new Map(identities.map((identity) => [nameOf(identity), identity.keys] as const))
  const generation = keysOf(owner).make(NAME, before.generations.length, keys, before)
  before.generations.push(generation)
  return generation
}

/** A revocation: the key is the owner's own. */
function lend(before: Person): RoleGeneration {
  const generation = { number: before.generations.length, publicKey: owner.kemKey, wraps: new Map() }
  before.generations.push(generation)
  return generation
}

/** Which generations a key reaches. */
function reach(of: Person, identity: Identity): number[] {
  const keys = keysOf(identity)
  return of.generations.filter((one) => keys.kemOf(of, one) !== undefined).map(({ number }) => number)
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return isAteError(error) ? error.code : String(error)
  }
  return 'nothing was thrown'
}

describe('secrets of a person', () => {
  it('reach who had a key then, and who has one later, over lent ones too; not who is gone', () => {
    const of = person()
    next(of, owner, device)
    next(of, owner, device)
    lend(of)
    next(of, owner, later)
    lend(of)
    next(of, owner, later)
    expect(reach(of, owner)).toEqual([0, 1, 2, 3, 4, 5])
    expect(reach(of, device)).toEqual([0, 1])
    expect(reach(of, later)).toEqual([0, 1, 3, 5])
    expect(reach(of, newIdentity({ crypto, random: seededRandom(4) }))).toEqual([])
  })

  it('open what is wrapped to the generation, in any order of asking', () => {
    const of = person()
    const all = [next(of, owner, device), next(of, owner), next(of, owner, later)]
    const keys = keysOf(later)
    for (const generation of all) expect(keys.kemOf(of, generation)?.publicKey).toEqual(generation.publicKey)
  })

  it('go to one more key from who holds the newest', () => {
    const of = person()
    const generation = next(of, owner, device)
    generation.wraps.set(nameOf(later), keysOf(device).wrapFor(of, nameOf(later), later.keys))
    expect(reach(of, later)).toEqual([0])
    lend(of)
    expect(codeOf(() => keysOf(owner).wrapFor(of, nameOf(device), device.keys))).toBe('NO_READ_KEY')
    expect(codeOf(() => keysOf(device).wrapFor(of, nameOf(later), later.keys))).toBe('NO_READ_KEY')
  })

  it('of a long life are found without a deep stack', () => {
    const of = person()
    for (let i = 0; i < 60; i++) next(of, owner)
    next(of, owner, later)
    expect(keysOf(later).kemOf(of, of.generations[0]!)?.publicKey).toEqual(of.generations[0]!.publicKey)
  })
})

describe('BAD_WRAP', () => {
  it('what is not the secret of the key that the chain shows', () => {
    const of = person()
    const generation = next(of, owner, device)
    const other = next(person(), owner, device)
    const forged: readonly Partial<RoleGeneration>[] = [
      { publicKey: other.publicKey },
      { wraps: other.wraps, publicKey: generation.publicKey },
      { number: 1 },
    ]
    for (const change of forged) {
      const one = { ...generation, ...change }
      const list = one.number === 1 ? [other, one] : [one]
      expect(
        codeOf(() => keysOf(device).kemOf(person(list), one)),
        JSON.stringify(Object.keys(change)),
      ).toBe('BAD_WRAP')
    }
    // Of another chain, another person, another key.
    expect(codeOf(() => keysOf(device, new Uint8Array(32)).kemOf(of, generation))).toBe('BAD_WRAP')
    expect(codeOf(() => keysOf(device).kemOf(person([generation], nameOf(device)), generation))).toBe('BAD_WRAP')
    const swapped = { ...generation, wraps: new Map([[nameOf(device), generation.wraps.get(NAME)!]]) }
    expect(codeOf(() => keysOf(device).kemOf(person([swapped]), swapped))).toBe('BAD_WRAP')
  })

  it('a link to another secret than the one before', () => {
    const [of, others] = [person(), person()]
    next(of, owner)
    next(others, owner)
    const newer = next(of, owner, later)
    const elsewhere = next(others, owner, later)
    const torn = { ...newer, link: newer.link!.map((byte, i) => (i === 40 ? byte ^ 1 : byte)) }
    for (const link of [torn.link, elsewhere.link!]) {
      const list = [of.generations[0]!, { ...newer, link }]
      expect(codeOf(() => keysOf(later).kemOf(person(list), list[0]!))).toBe('BAD_WRAP')
    }
    // Without one the older secrets stay closed: that is no forgery.
    const { link: _, ...closed } = newer
    expect(keysOf(later).kemOf(person([of.generations[0]!, closed]), of.generations[0]!)).toBeUndefined()
    // A secret of others under a key of ours: made by an owner who links what is not there.
    const wrong = keysOf(owner).make(NAME, 1, new Map([[nameOf(later), later.keys]]), others)
    expect(codeOf(() => keysOf(later).kemOf(person([of.generations[0]!, wrong]), of.generations[0]!))).toBe('BAD_WRAP')
  })
})
