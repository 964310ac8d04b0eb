/**
 * Secrets of persons, as far as one key reaches them: each generation's is wrapped to the keys that the person had then,
 * and the one before under the newer. So a key that comes later opens what was wrapped to the person before; a removed
 * one gets no newer generation, and links lead to older ones only.
 */
import { equalBytes, fromBinaryText, toBinaryText, wipe } from '../base/bytes.ts'
import { randomBytes } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import { ByteWriter } from '../codec/writer.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { KemSecret } from '../crypto/provider.ts'
import { unwrapSecret, unwrapUnder, wrapSecret, wrapUnder } from '../crypto/wrap.ts'
import { xWingSecret } from '../crypto/x-wing.ts'
import type { WrapFields } from '../event/rare-fields.ts'
import { kemKeyOf } from '../trust/identity-keys.ts'
import { isBorrowed, lends, newestKey, type Person } from '../trust/person.ts'
import type { RoleGeneration } from '../trust/policy.ts'
import type { SessionMakers } from './epoch-keys.ts'
import { identityKem } from './identity.ts'

const SEED_BYTES = 32

export class PersonKeys {
  readonly #makers: SessionMakers
  readonly #key: string
  readonly #seeds = new WeakMap<RoleGeneration, Uint8Array>()
  readonly #kems = new WeakMap<RoleGeneration, KemSecret>()

  constructor(makers: SessionMakers) {
    this.#makers = makers
    this.#key = toBinaryText(makers.identity.fingerprintBytes)
  }

  /** What opens wraps for a generation; undefined if this key does not reach it. @throws AteError BAD_WRAP */
  kemOf(person: Person, generation: RoleGeneration): KemSecret | undefined {
    const { identity, crypto } = this.#makers
    if (lends(identity.keys, generation)) return identityKem(identity)
    const known = this.#kems.get(generation)
    if (known) return known
    const seed = this.#seedOf(person, generation)
    if (!seed) return undefined
    const kem = xWingSecret(crypto, seed)
    this.#kems.set(generation, kem)
    return kem
  }

  /**
   * A fresh secret for these keys (public keys by fingerprint), and the generation that carries it. The newest one of
   * `before` is linked, if this key reaches it.
   */
  make(
    name: string,
    number: number,
    keys: ReadonlyMap<string, Uint8Array>,
    before: Person | undefined,
  ): RoleGeneration {
    const { crypto, random } = this.#makers
    const seed = randomBytes(random, SEED_BYTES)
    const wraps = new Map([...keys].map(([key, public_]) => [key, this.#wrap(name, number, { key, public_, seed })]))
    const older = before?.generations.findLast((one) => !isBorrowed(one))
    const secret = before && older && this.#seedOf(before, older)
    const info = this.#info('personLink', name, number)
    const link = secret && { link: wrapUnder(crypto, random, { key: seed, info, secret }) }
    const { publicKey } = xWingSecret(crypto, seed)
    wipe(seed)
    return { number, publicKey, wraps, ...link }
  }

  /** The newest secret for one more key. @throws AteError NO_READ_KEY */
  wrapFor(person: Person, key: string, public_: Uint8Array): WrapFields {
    const generation = newestKey(person)!
    const seed = this.#seedOf(person, generation)
    if (!seed) throw new AteError('NO_READ_KEY', { what: 'the key of this person' })
    return this.#wrap(person.name, generation.number, { key, public_, seed })
  }

  #wrap(
    name: string,
    number: number,
    { key, public_, seed }: { readonly key: string; readonly public_: Uint8Array; readonly seed: Uint8Array },
  ): WrapFields {
    const { crypto, random } = this.#makers
    const info = this.#info('personWrap', name, number)
    const wrapped = wrapSecret(crypto, random, { publicKey: kemKeyOf(public_), info, secret: seed })
    if (!wrapped) throw new AteError('BAD_PUBLIC_ID', { what: 'its key for wrapping is not valid' })
    return { to: fromBinaryText(key), wrapped }
  }

  /** From the nearest generation at or above it that is wrapped to this key, down the links. Borrowed ones have no secret. */
  #seedOf(person: Person, generation: RoleGeneration): Uint8Array | undefined {
    const above = person.generations.slice(generation.number).filter((one) => !isBorrowed(one))
    if (above[0] !== generation) return undefined
    const start = above.findIndex((one) => this.#seeds.has(one) || one.wraps.has(this.#key))
    for (let i = start; i >= 0; i--) {
      const one = above[i]!
      const seed =
        this.#seeds.get(one) ?? (i === start ? this.#unwrap(person, one) : this.#follow(person, above[i + 1]!))
      if (!seed) return undefined
      if (!equalBytes(xWingSecret(this.#makers.crypto, seed).publicKey, one.publicKey))
        throw new AteError('BAD_WRAP', { generation: one.number, what: 'key of a person' })
      this.#seeds.set(one, seed)
    }
    return this.#seeds.get(generation)
  }

  #unwrap(person: Person, { number, wraps }: RoleGeneration): Uint8Array {
    const { crypto, identity } = this.#makers
    const info = this.#info('personWrap', person.name, number)
    const { wrapped } = wraps.get(this.#key)!
    const seed = unwrapSecret(crypto, identityKem(identity), { info, wrapped, size: SEED_BYTES })
    if (!seed) throw new AteError('BAD_WRAP', { generation: number, what: 'key of a person' })
    return seed
  }

  /** The secret of the generation before `newer`. */
  #follow(person: Person, newer: RoleGeneration): Uint8Array | undefined {
    const key = this.#seeds.get(newer)
    if (!newer.link || !key) return undefined
    const info = this.#info('personLink', person.name, newer.number)
    const seed = unwrapUnder(this.#makers.crypto, { key, info, wrapped: newer.link, size: SEED_BYTES })
    if (!seed) throw new AteError('BAD_WRAP', { generation: newer.number, what: 'link of a person' })
    return seed
  }

  /** context | chain | person | generation: a wrap fits one place only. */
  #info(context: 'personWrap' | 'personLink', name: string, number: number): Uint8Array {
    const out = new ByteWriter(112)
    out.raw(contextBytes(context))
    out.raw(this.#makers.chainId)
    out.raw(fromBinaryText(name))
    out.u64(number)
    return out.copy()
  }
}
