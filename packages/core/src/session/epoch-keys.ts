/**
 * The secrets of nodes and roles that a session can reach: identity -> role -> node, each wrapped on the chain.
 *
 * An epoch's bundle is its key (32 bytes) and the node's index key (32 bytes), which blinds names and is never rotated.
 * What is unwrapped must fit the epoch's commitment, so that all readers of an epoch hold the same key.
 */
import { equalBytes, fromBinaryText, toBinaryText, utf8, wipe } from '../base/bytes.ts'
import { type Randomness, randomBytes } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import { ByteWriter } from '../codec/writer.ts'
import { type ContextName, contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider, KemSecret } from '../crypto/provider.ts'
import { unwrapSecret, unwrapUnder, wrapSecret, wrapUnder } from '../crypto/wrap.ts'
import { xWingSecret } from '../crypto/x-wing.ts'
import { bytesOfWords, type EntityWords, entityKey, wordsOf } from '../event/entity-words.ts'
import type { EpochFields, WrapFields } from '../event/rare-fields.ts'
import { kemKeyOf } from '../trust/identity-keys.ts'
import { newestKey } from '../trust/person.ts'
import { type PolicyEntry, type PolicyList, type Role, type RoleGeneration, withoutDropped } from '../trust/policy.ts'
import type { Epoch, TrustState } from '../trust/trust-state.ts'
import { type Identity, identityKem } from './identity.ts'
import { PersonKeys } from './person-keys.ts'

const BUNDLE_BYTES = 64
const ROLE_SECRET_BYTES = 32

/** What the transaction that is being made brings to the chain, and the state does not show yet. */
export interface Pending {
  /** Public keys by fingerprint. */
  readonly introduced?: ReadonlyMap<string, Uint8Array>
  /** Next generations of persons, by name. */
  readonly persons?: ReadonlyMap<string, RoleGeneration>
}

export interface EpochSecrets {
  readonly key: Uint8Array
  readonly indexKey: Uint8Array
}

export interface NewEpoch {
  readonly fields: EpochFields
  readonly secrets: EpochSecrets
}

export interface SessionMakers {
  readonly crypto: CryptoProvider
  readonly random: Randomness
  readonly chainId: Uint8Array
  readonly identity: Identity
}

export class SessionKeys {
  readonly persons: PersonKeys
  readonly #makers: SessionMakers
  readonly #trust: TrustState
  /** The fingerprint of this session's own key. */
  readonly #name: string
  // By the object that the fold stored: a staged epoch that is taken back takes its secrets along.
  readonly #epochs = new WeakMap<EpochFields, EpochSecrets>()
  readonly #roles = new WeakMap<RoleGeneration, KemSecret>()
  readonly #roleSeeds = new WeakMap<RoleGeneration, Uint8Array>()
  readonly #writeKeys = new WeakMap<EpochFields, KemSecret>()

  constructor(makers: SessionMakers, trust: TrustState) {
    this.persons = new PersonKeys(makers)
    this.#makers = makers
    this.#trust = trust
    this.#name = toBinaryText(makers.identity.fingerprintBytes)
  }

  /**
   * The secrets of an epoch, through a wrap for this identity or one of its roles, or down the links of newer epochs.
   * Undefined if this session cannot read it. @throws AteError BAD_WRAP
   */
  secretsOf(node: { readonly row: number; readonly id: EntityWords }, number: number): EpochSecrets | undefined {
    const epochs = this.#trust.epochs.get(node.row)
    const epoch = epochs?.[number]
    if (!epochs || !epoch) return undefined
    const known = this.#epochs.get(epoch.fields)
    if (known) return known
    const found = this.#unwrap(node.id, epoch) ?? this.#throughLink(node, epochs, number)
    if (found) this.#epochs.set(epoch.fields, found)
    return found
  }

  /** Keeps the secrets of an epoch that this session has made. */
  remember(made: NewEpoch): void {
    this.#epochs.set(made.fields, made.secrets)
  }

  /** What opens blocks that writers without the read key sealed for an epoch. */
  writeSecret(epoch: EpochFields, secrets: EpochSecrets): KemSecret {
    let secret = this.#writeKeys.get(epoch)
    if (!secret) {
      secret = writeSecretOf(this.#makers.crypto, secrets.key)
      this.#writeKeys.set(epoch, secret)
    }
    return secret
  }

  /**
   * A new epoch for exactly `readers`. `previous` is linked, so that who reads the new one reads the older ones too;
   * `indexKey` goes on where the node had one.
   * @throws AteError NO_ROLE if a reader's keys are not known.
   */
  makeEpoch(
    node: EntityWords,
    number: number,
    readers: PolicyList,
    options: {
      readonly previous?: EpochSecrets | undefined
      readonly indexKey?: Uint8Array | undefined
      readonly forWriters?: boolean
      readonly pending?: Pending
    },
  ): NewEpoch {
    const { crypto, random } = this.#makers
    const key = randomBytes(random, 32)
    const indexKey = options.previous?.indexKey ?? options.indexKey ?? randomBytes(random, 32)
    const secrets = { key, indexKey }
    const bundle = bundleOf(secrets)
    const fields: EpochFields = {
      number,
      commitment: this.#commitment(node, number, bundle),
      wraps:
        typeof readers === 'string'
          ? []
          : withoutDropped(readers, this.#trust.persons).map((entry) =>
              this.#wrapFor(entry, this.#info('nodeWrap', node, number), bundle, options.pending),
            ),
      ...(readers === 'everyone' ? { published: bundle } : {}),
      ...(options.forWriters ? { writeKey: writeSecretOf(crypto, key).publicKey } : {}),
      ...(options.previous
        ? {
            link: wrapUnder(crypto, random, {
              key,
              info: this.#info('epochLink', node, number),
              secret: bundleOf(options.previous),
            }),
          }
        : {}),
    }
    return { fields, secrets }
  }

  /** A fresh secret of a role for `members` (fingerprints that name them), and its public key. */
  makeRoleKey(
    role: EntityWords,
    generation: number,
    members: readonly string[],
    pending?: Pending,
  ): { readonly publicKey: Uint8Array; readonly wraps: WrapFields[] } {
    const { crypto, random } = this.#makers
    const seed = randomBytes(random, ROLE_SECRET_BYTES)
    const info = this.#info('roleWrap', role, generation)
    const wraps = members.map((name) => this.#wrapForName(name, info, seed, pending))
    const { publicKey } = xWingSecret(crypto, seed)
    wipe(seed)
    return { publicKey, wraps }
  }

  /** The newest secret of a role wrapped to one more member. @throws AteError NO_READ_KEY if this session has no copy of it. */
  wrapRoleFor(role: Role, member: string, pending?: Pending): WrapFields {
    const generation = role.generations[role.generations.length - 1]!
    const seed = this.#roleSeed(role, generation)
    if (!seed) throw new AteError('NO_READ_KEY', { role: role.name })
    return this.#wrapForName(member, this.#info('roleWrap', role.id, generation.number), seed, pending)
  }

  /** True if this session holds the newest secret of the role. @throws AteError BAD_WRAP */
  hasRole(role: Role): boolean {
    return this.#roleSeed(role, role.generations[role.generations.length - 1]!) !== undefined
  }

  #unwrap(node: EntityWords, epoch: Epoch): EpochSecrets | undefined {
    const { fields } = epoch
    const bundle = fields.published ?? this.#firstWrap(node, fields)
    if (!bundle) return undefined
    if (!equalBytes(this.#commitment(node, fields.number, bundle), fields.commitment)) {
      throw new AteError('BAD_WRAP', { epoch: fields.number })
    }
    return { key: bundle.slice(0, 32), indexKey: bundle.slice(32, 64) }
  }

  #firstWrap(node: EntityWords, fields: EpochFields): Uint8Array | undefined {
    for (const wrap of fields.wraps) {
      const kem = wrap.to.length === 32 ? this.#ownKem(wrap) : this.#roleKem(wrap)
      if (!kem) continue
      const info = this.#info('nodeWrap', node, fields.number)
      const bundle = unwrapSecret(this.#makers.crypto, kem, { info, wrapped: wrap.wrapped, size: BUNDLE_BYTES })
      if (!bundle) throw new AteError('BAD_WRAP', { epoch: fields.number })
      return bundle
    }
    return undefined
  }

  #throughLink(
    node: { readonly row: number; readonly id: EntityWords },
    epochs: readonly Epoch[],
    number: number,
  ): EpochSecrets | undefined {
    const newer = epochs[number + 1]
    if (newer?.fields.link === undefined) return undefined
    const secrets = this.secretsOf(node, number + 1)
    if (!secrets) return undefined
    const bundle = unwrapUnder(this.#makers.crypto, {
      key: secrets.key,
      info: this.#info('epochLink', node.id, number + 1),
      wrapped: newer.fields.link,
      size: BUNDLE_BYTES,
    })
    const fits = bundle && equalBytes(this.#commitment(node.id, number, bundle), epochs[number]!.fields.commitment)
    if (!fits) throw new AteError('BAD_WRAP', { epoch: number, what: 'link' })
    return { key: bundle.slice(0, 32), indexKey: bundle.slice(32, 64) }
  }

  /** What opens a wrap for this key, or for its person. */
  #ownKem({ to, generation: number }: WrapFields): KemSecret | undefined {
    const name = toBinaryText(to)
    const person = this.#trust.personOfKey.get(this.#name)
    const generation = person?.name === name ? person.generations.find((one) => one.number === number) : undefined
    if (person && generation) return this.persons.kemOf(person, generation)
    return name === this.#name ? identityKem(this.#makers.identity) : undefined
  }

  #roleKem(wrap: WrapFields): KemSecret | undefined {
    const role = this.#trust.roles.get(entityKey(wordsOf(wrap.to)))
    const generation = role?.generations.find(({ number }) => number === wrap.generation)
    if (!role || !generation) return undefined
    const known = this.#roles.get(generation)
    if (known) return known
    const seed = this.#roleSeed(role, generation)
    if (!seed) return undefined
    const kem = xWingSecret(this.#makers.crypto, seed)
    this.#roles.set(generation, kem)
    return kem
  }

  #roleSeed(role: Role, generation: RoleGeneration): Uint8Array | undefined {
    const known = this.#roleSeeds.get(generation)
    if (known) return known
    const { crypto } = this.#makers
    const own = generation.wraps.get(this.#trust.personOfKey.get(this.#name)?.name ?? this.#name)
    const kem = own && this.#ownKem(own)
    if (!own || !kem) return undefined
    const info = this.#info('roleWrap', role.id, generation.number)
    const seed = unwrapSecret(crypto, kem, { info, wrapped: own.wrapped, size: ROLE_SECRET_BYTES })
    if (!seed || !equalBytes(xWingSecret(crypto, seed).publicKey, generation.publicKey))
      throw new AteError('BAD_WRAP', { role: role.name })
    this.#roleSeeds.set(generation, seed)
    return seed
  }

  #wrapFor(entry: PolicyEntry, info: Uint8Array, secret: Uint8Array, pending: Pending | undefined): WrapFields {
    if (entry.role) {
      const newest = entry.role.generations[entry.role.generations.length - 1]!
      return {
        to: bytesOfWords(entry.role.id),
        generation: newest.number,
        wrapped: this.#wrapTo(newest.publicKey, info, secret),
      }
    }
    return this.#wrapForName(entry.identity, info, secret, pending)
  }

  /** For a person its newest generation, for another identity its own key. */
  #wrapForName(name: string, info: Uint8Array, secret: Uint8Array, pending: Pending | undefined): WrapFields {
    const to = fromBinaryText(name)
    const generation = pending?.persons?.get(name) ?? newestKey(this.#trust.persons.get(name))
    if (generation)
      return { to, generation: generation.number, wrapped: this.#wrapTo(generation.publicKey, info, secret) }
    const keys = this.#trust.identities.get(name) ?? pending?.introduced?.get(name)
    if (!keys) throw new AteError('NO_ROLE', { what: 'an identity whose keys are not known' })
    return { to, wrapped: this.#wrapTo(kemKeyOf(keys), info, secret) }
  }

  #wrapTo(publicKey: Uint8Array, info: Uint8Array, secret: Uint8Array): Uint8Array {
    const wrapped = wrapSecret(this.#makers.crypto, this.#makers.random, { publicKey, info, secret })
    if (!wrapped) throw new AteError('BAD_PUBLIC_ID', { what: 'its key for wrapping is not valid' })
    return wrapped
  }

  #commitment(node: EntityWords, number: number, bundle: Uint8Array): Uint8Array {
    const info = this.#info('epochCommitment', node, number)
    const bytes = new Uint8Array(info.length + bundle.length)
    bytes.set(info, 0)
    bytes.set(bundle, info.length)
    const hash = this.#makers.crypto.sha256(bytes)
    wipe(bytes)
    return hash
  }

  /** context | chain | node or role | epoch or generation: a wrap fits one place only. */
  #info(context: ContextName, id: EntityWords, number: number): Uint8Array {
    const out = new ByteWriter(96)
    out.raw(contextBytes(context))
    out.raw(this.#makers.chainId)
    out.raw(bytesOfWords(id))
    out.u64(number)
    return out.copy()
  }
}

/** The 16 bytes that stand for a name in a collection whose names are blinded: equality is all that they show. */
export function blindName(crypto: CryptoProvider, indexKey: Uint8Array, collection: string, name: string): EntityWords {
  blinded.reset()
  blinded.raw(contextBytes('blindKey'))
  blinded.sizedText(collection)
  blinded.text(name)
  return wordsOf(crypto.hmacSha256(indexKey, blinded.view()))
}

/** What is blinded, between two resets: nothing of another call runs in between. */
const blinded = new ByteWriter(256)

/** The 16 bytes that stand for a clear name: of roles, which everybody must find. */
export function clearName(crypto: CryptoProvider, name: string): EntityWords {
  return wordsOf(crypto.sha256(utf8(name)))
}

function bundleOf({ key, indexKey }: EpochSecrets): Uint8Array {
  const bundle = new Uint8Array(BUNDLE_BYTES)
  bundle.set(key, 0)
  bundle.set(indexKey, 32)
  return bundle
}

function writeSecretOf(crypto: CryptoProvider, key: Uint8Array): KemSecret {
  return xWingSecret(crypto, crypto.hkdfSha256(key, new Uint8Array(0), contextBytes('epochPublic'), 32))
}
