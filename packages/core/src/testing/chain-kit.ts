/**
 * A toolkit for tests of the fold: identities from fixed seeds, and a Forger that builds any record by hand, honest or
 * not, signs it with whatever key, and feeds it to a replica. What it knows of the rules is nothing: each test says what
 * its transactions hold, which epoch seals a body, and what number and base a commit claims.
 */
import { equalBytes, toBinaryText, utf8 } from '../base/bytes.ts'
import type { Randomness } from '../base/environment.ts'
import { chainIdOf } from '../base/ids.ts'
import { type Accepted, Replica } from '../chain/replica.ts'
import { ByteWriter } from '../codec/writer.ts'
import type { ContextName } from '../crypto/contexts.ts'
import { treeRoot } from '../crypto/merkle.ts'
import type { CryptoProvider, Signer } from '../crypto/provider.ts'
import { type AttestationBody, encodeAttestation } from '../event/attestation.ts'
import { type CertificateBody, makeCertificate } from '../event/certificate.ts'
import { type Checkpoint, checkpointOrigin } from '../event/checkpoint.ts'
import { encodeCheckpoint } from '../event/checkpoint-encode.ts'
import { CommitEncoder, type SealedBlock } from '../event/commit-encode.ts'
import { consentMessage } from '../event/consent.ts'
import { namedEntity, transactionPrefix } from '../event/derive-ids.ts'
import { bytesOfWords, EntityWords, ROOT_ENTITY, sameEntity, wordsOf } from '../event/entity-words.ts'
import {
  BLOCK_MODE,
  COMMIT,
  FOLD_LEVEL,
  FORMAT,
  GUARD,
  type GuardKind,
  KIND,
  type Kind,
  OP,
  type Op,
  SUITE,
} from '../event/format.ts'
import {
  encodeGenesis,
  encodeParameters,
  type GenesisParameters,
  genesisMessage,
  hashParameters,
} from '../event/genesis.ts'
import type {
  EpochFields,
  PersonFields,
  PersonKeyFields,
  RareFields,
  RoleFields,
  WrapFields,
} from '../event/rare-fields.ts'
import { hashCommit, hashRecord, NO_HASH, writeRecordHead } from '../event/record.ts'
import { encodeRecovery, type RecoveryBody } from '../event/recovery.ts'
import { encodeSweep } from '../event/sweep.ts'
import { type Guard, type ParsedTransaction, TransactionEvent } from '../event/transaction-event.ts'
import type { LogRecord } from '../log/engine.ts'
import { type Identity, identityFromSeed } from '../session/identity.ts'
import { seededRandom } from './random.ts'

export interface Actor {
  readonly name: string
  readonly identity: Identity
  /** The fingerprint: 32 bytes, and one byte a character. */
  readonly id: Uint8Array
  readonly key: string
}

/** The actor of a name: the same name gives the same keys in every run. */
export function actorOf(crypto: CryptoProvider, name: string): Actor {
  const seed = new Uint8Array(96)
  for (let i = 0; i < 3; i++) seed.set(crypto.sha256(utf8(`actor/${name}/${i}`)), 32 * i)
  const identity = identityFromSeed({ crypto, random: seededRandom(1) }, seed)
  return { name, identity, id: identity.fingerprintBytes, key: toBinaryText(identity.fingerprintBytes) }
}

/**
 * Post-quantum verifications are remembered by what was verified, and Ed25519 keys by their bytes: a test that opens one
 * chain a thousand times pays once. The answers are those of `crypto`.
 */
export function rememberingProvider(crypto: CryptoProvider): CryptoProvider {
  const answers = new Map<string, boolean>()
  const keys = new Map<string, ReturnType<CryptoProvider['ed25519Verifier']>>()
  const digest = (...parts: readonly Uint8Array[]): string =>
    parts.map((part) => toBinaryText(crypto.sha256(part))).join('')
  return {
    ...crypto,
    mlDsa65Verifier(publicKey) {
      const verifier = crypto.mlDsa65Verifier(publicKey)
      return {
        verify(message, signature, context) {
          const name = digest(publicKey, message, signature, context)
          const known = answers.get(name)
          if (known !== undefined) return known
          const answer = verifier.verify(message, signature, context)
          answers.set(name, answer)
          return answer
        },
      }
    },
    ed25519Verifier(publicKey) {
      const name = toBinaryText(publicKey)
      const verifier = keys.get(name) ?? crypto.ed25519Verifier(publicKey)
      keys.set(name, verifier)
      return verifier
    },
  }
}

/** A body: its bytes as they stand in the log, and the epoch that is claimed to seal them. */
export interface ForgedBody {
  readonly node: EntityWords
  readonly epoch: number
  readonly bytes: Uint8Array
  /** Which of the blocks of one node and epoch, if a commit should hold several. */
  readonly part?: number
}

export interface ForgedEvent {
  readonly op: Op
  readonly entity?: EntityWords
  readonly parent?: EntityWords
  readonly collection?: string
  readonly type?: string
  readonly key?: Uint8Array
  readonly version?: number
  readonly rare?: RareFields
  readonly body?: ForgedBody
}

export interface ForgedTransaction {
  readonly nonce: Uint8Array
  readonly guards: readonly Guard[]
  readonly events: readonly ForgedEvent[]
}

/** A certificate and the key under it. `mark` is the number of the last commit that was made with it. */
export interface ForgedSession {
  readonly actor: Actor
  readonly id: Uint8Array
  readonly bytes: Uint8Array
  readonly body: CertificateBody
  readonly signer: Signer
  mark: number
  /** The certificate still has to ride in a commit. */
  fresh: boolean
}

export interface CommitOptions {
  readonly writerSeq?: number
  readonly base?: { readonly seq: number; readonly hash: Uint8Array }
  readonly at?: number
  readonly admittedAt?: number
  readonly sequencer?: Uint8Array
  readonly certificate?: Uint8Array | 'none'
  readonly writer?: Uint8Array
  readonly signer?: Signer
  readonly seq?: number
  readonly prev?: Uint8Array
}

export interface ForgerOptions {
  readonly crypto: CryptoProvider
  readonly roots: readonly Actor[]
  readonly seed?: number
  readonly parameters?: Partial<GenesisParameters>
  readonly timeMs?: number
}

export class Forger {
  readonly crypto: CryptoProvider
  readonly random: Randomness
  readonly chainId: Uint8Array
  readonly records: LogRecord[] = []
  /** Of the checkpoints: named in genesis. */
  readonly checkpointSigner: Signer
  replica: Replica
  /** The clock of the sequencer and of every author, in ms. */
  time: number
  readonly #roots: readonly Actor[]
  readonly #encoder: CommitEncoder
  #nonces = 0

  constructor({ crypto, roots, seed = 1, parameters = {}, timeMs = 1_000_000 }: ForgerOptions) {
    this.crypto = crypto
    this.random = seededRandom(seed)
    this.time = timeMs
    this.#roots = roots
    this.#encoder = new CommitEncoder(crypto)
    this.checkpointSigner = crypto.ed25519Signer(crypto.sha256(utf8(`checkpoints/${seed}`)))
    const given: GenesisParameters = {
      format: FORMAT,
      suite: SUITE,
      level: FOLD_LEVEL,
      nonce: crypto.sha256(utf8(`genesis/${seed}`)),
      roots: roots.map(({ identity }) => identity.keys),
      sequencers: 'writers',
      durability: 'memory',
      checkpointKeys: [this.checkpointSigner.publicKey],
      ...parameters,
    }
    this.chainId = hashParameters(crypto, encodeParameters(given))
    this.records.push(this.genesis(given))
    this.replica = Replica.open({ crypto, seed: 7 }, this.records[0]!)
  }

  /** A first record of these parameters, signed by the roots. */
  genesis(
    parameters: GenesisParameters,
    epoch: EpochFields = this.epoch(
      0,
      this.#roots.map(({ id }) => id),
    ),
  ): LogRecord {
    const { crypto } = this
    const encoded = encodeParameters(parameters)
    const chainId = hashParameters(crypto, encoded)
    const message = genesisMessage(crypto, chainId, epoch)
    const signatures = this.#roots.map(({ identity }) => identity.sign(message, 'genesis'))
    const out = new ByteWriter(16_384)
    writeRecordHead(out, {
      seq: 0,
      prev: NO_HASH,
      admittedAt: this.time,
      sequencer: this.#roots[0]!.id,
      kind: KIND.genesis,
    })
    out.raw(encodeGenesis(encoded, epoch, signatures))
    const bytes = out.copy()
    return { seq: 0, bytes, hash: hashRecord(crypto, chainId, bytes, KIND.genesis) }
  }

  bytes(size: number): Uint8Array {
    const bytes = new Uint8Array(size)
    this.random.fill(bytes)
    return bytes
  }

  /** A session of an actor; the body of its certificate can be anything. */
  session(actor: Actor, change: Partial<CertificateBody> = {}, signAs: Actor = actor): ForgedSession {
    const signer = this.crypto.ed25519Signer(this.bytes(32))
    const body: CertificateBody = {
      chain: this.chainId,
      identity: actor.id,
      session: signer.publicKey,
      until: this.time + 86_400_000,
      ...(this.replica.trust.keysOf(actor.key) ? {} : { keys: actor.identity.keys }),
      ...change,
    }
    const { id, bytes } = makeCertificate(this.crypto, body, (message) => signAs.identity.sign(message, 'certificate'))
    return { actor, id, bytes, body, signer, mark: 0, fresh: true }
  }

  nonce(): Uint8Array {
    return this.crypto.sha256(utf8(`nonce/${this.#nonces++}`)).slice(0, 16)
  }

  tx(...parts: readonly (ForgedEvent | Guard)[]): ForgedTransaction {
    const guards = parts.filter((part): part is Guard => 'kind' in part)
    const events = parts.filter((part): part is ForgedEvent => 'op' in part)
    return { nonce: this.nonce(), guards, events }
  }

  /** A commit that follows the head, made and signed; nothing is fed. */
  commit(session: ForgedSession, transactions: readonly ForgedTransaction[], options: CommitOptions = {}): LogRecord {
    const { head } = this.replica
    const { parsed, blocks } = this.#seal(transactions)
    const certificate = options.certificate ?? (session.fresh ? session.bytes : 'none')
    const seq = options.seq ?? head.seq + 1
    const unsigned = this.#encoder.encode(this.chainId, {
      record: {
        seq,
        prev: options.prev ?? head.hash,
        admittedAt: options.admittedAt ?? this.time,
        sequencer: options.sequencer ?? session.actor.id,
      },
      writer: options.writer ?? session.id,
      writerSeq: options.writerSeq ?? session.mark + 1,
      base: options.base ?? head,
      at: options.at ?? this.time,
      certificate: certificate === 'none' ? undefined : certificate,
      transactions: parsed,
      blocks,
    })
    const signer = options.signer ?? session.signer
    const { bytes, hash } = unsigned.finish(signer.sign(unsigned.commitHash))
    return { seq, bytes, hash }
  }

  /** Feeds a record to the replica and keeps it. @throws as Replica.accept */
  feed(record: LogRecord): Accepted {
    const accepted = this.replica.accept(record)
    this.records.push(record)
    return accepted
  }

  /** One commit, fed: what it did. The session's number moves as the fold moves it. */
  write(session: ForgedSession, transactions: readonly ForgedTransaction[], options: CommitOptions = {}): Accepted {
    const accepted = this.feed(this.commit(session, transactions, options))
    const stored = this.replica.trust.certificates.get(toBinaryText(session.id))
    if (stored) {
      session.mark = stored.mark
      session.fresh = false
    }
    return accepted
  }

  /** A record that is no commit, with its right hash. */
  other(
    kind: Kind,
    payload: Uint8Array,
    change: { readonly sequencer?: Uint8Array; readonly admittedAt?: number } = {},
  ): LogRecord {
    const { head } = this.replica
    const out = new ByteWriter(payload.length + 128)
    const sequencer = change.sequencer ?? this.#roots[0]!.id
    writeRecordHead(out, {
      seq: head.seq + 1,
      prev: head.hash,
      admittedAt: change.admittedAt ?? this.time,
      sequencer,
      kind,
    })
    out.raw(payload)
    return this.rehashed(out.copy(), head.seq + 1)
  }

  /** What an attestation of the session's commits that lack one would say. */
  attestationBody(session: ForgedSession): AttestationBody {
    const { unattested } = this.replica.trust.certificates.get(toBinaryText(session.id))!
    const { seq, hash } = this.replica.head
    return {
      chain: this.chainId,
      certificate: session.id,
      from: unattested[0]?.writerSeq ?? 1,
      to: unattested[unattested.length - 1]?.writerSeq ?? 1,
      root: treeRoot(
        this.crypto,
        unattested.map((commit) => commit.hash),
      ),
      seq,
      hash,
    }
  }

  attestation(session: ForgedSession, change: Partial<AttestationBody> = {}, signAs: Actor = session.actor): LogRecord {
    const body = { ...this.attestationBody(session), ...change }
    const payload = encodeAttestation(this.crypto, body, (message) => signAs.identity.sign(message, 'attestation'))
    return this.other(KIND.attestation, payload)
  }

  checkpoint(change: Partial<Checkpoint> = {}, signer: Signer = this.checkpointSigner): LogRecord {
    const { tree } = this.replica
    const honest = { origin: checkpointOrigin(chainIdOf(this.chainId)), size: tree.size, root: tree.root() }
    return this.other(KIND.checkpoint, encodeCheckpoint(this.crypto, { ...honest, ...change }, signer))
  }

  /** A record of recovery at the head; `change` what it says. */
  recovery(
    actor: Actor,
    change: Partial<RecoveryBody> = {},
    context: ContextName = 'recover',
    signAs: Actor = actor,
  ): LogRecord {
    const { head } = this.replica
    const body = {
      chain: this.chainId,
      by: actor.id,
      prev: head.hash,
      from: head.seq + 1,
      hash: head.hash,
      lost: [],
      ...change,
    }
    return this.other(
      KIND.recover,
      encodeRecovery(this.crypto, body, (message) => signAs.identity.sign(message, context)),
    )
  }

  sweep(entities: readonly EntityWords[]): LogRecord {
    return this.other(KIND.sweep, encodeSweep(entities))
  }

  /** A record of these bytes with the hash that they have, as a sequencer would store it. @throws AteError BAD_RECORD */
  rehashed(bytes: Uint8Array, seq: number): LogRecord {
    const kind = bytes[80] as Kind
    if (kind !== KIND.commit) return { seq, bytes, hash: hashRecord(this.crypto, this.chainId, bytes, kind) }
    return { seq, bytes, hash: hashRecord(this.crypto, this.chainId, bytes, kind, this.commitHashOf(bytes)) }
  }

  commitHashOf(bytes: Uint8Array): Uint8Array {
    const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(COMMIT.certificateLength)
    const certificate = size > 0 ? bytes.subarray(COMMIT.certificate, COMMIT.certificate + size) : undefined
    return hashCommit(this.crypto, this.chainId, bytes, certificate)
  }

  /** Signs what stands in the bytes of a commit, whatever it is. */
  resigned(bytes: Uint8Array, seq: number, signer: Signer): LogRecord {
    bytes.set(signer.sign(this.commitHashOf(bytes)), COMMIT.sig)
    return this.rehashed(bytes, seq)
  }

  /** Id of the nth (from 1) entity without a name that a transaction of this actor creates. */
  idOf(actor: Actor, { nonce }: { readonly nonce: Uint8Array }, n = 1): EntityWords {
    const { a, b, c } = transactionPrefix(this.crypto, this.chainId, actor.id, nonce)
    return new EntityWords(a, b, c, n)
  }

  nameOf(parent: EntityWords, collection: string, key: Uint8Array): EntityWords {
    return namedEntity(this.crypto, this.chainId, parent, collection, wordsOf(key))
  }

  /** Fields of an epoch for readers: fingerprints, and roles with their generation. The wraps hold random bytes. */
  epoch(
    number: number,
    readers: 'everyone' | readonly (Uint8Array | RoleAt | PersonAt)[],
    change: Partial<EpochFields> = {},
  ): EpochFields {
    const wraps = readers === 'everyone' ? [] : readers.map((reader) => this.wrap(reader))
    const published = readers === 'everyone' ? { published: this.bytes(64) } : {}
    return { number, commitment: this.bytes(32), wraps, ...published, ...change }
  }

  /** For an identity at the key that the replica knows as its person's newest, unless another is said. */
  wrap(to: Uint8Array | RoleAt | PersonAt): WrapFields {
    const wrapped = this.bytes(16)
    if ('role' in to) return { to: bytesOfWords(to.role), generation: to.generation, wrapped }
    // The first epoch is made before there is a replica.
    const at = 'person' in to ? to : { person: to, generation: this.replica?.trust.generationOf(toBinaryText(to)) }
    return { to: at.person, wrapped, ...(at.generation === undefined ? {} : { generation: at.generation }) }
  }

  /** A key that a person takes, with its consent. */
  personKey(key: Actor, person: Actor, standing: 'owner' | 'device' = 'device'): PersonKeyFields {
    const to = { chain: this.chainId, person: person.id, key: key.id }
    const consent = key.identity.sign(consentMessage(this.crypto, to), 'person')
    return { keys: key.identity.keys, standing, consent }
  }

  /** Fields of a person's event by an owner; `wrapFor` are the keys to which its secret is wrapped. */
  person(of: Actor, generation: number, wrapFor: readonly Actor[], change: Partial<PersonFields> = {}): PersonFields {
    const wraps = wrapFor.map(({ id }) => ({ to: id, wrapped: this.bytes(16) }))
    return {
      person: of.id,
      key: { generation, publicKey: new Uint8Array(1216).fill(generation + 101), wraps },
      ...change,
    }
  }

  /** Fields of a role's event; `wrapFor` are those to whom its secret is wrapped. */
  role(generation: number, wrapFor: readonly Actor[], change: Partial<RoleFields> = {}): RoleFields {
    return {
      generation,
      publicKey: new Uint8Array(1216).fill(generation + 1),
      wraps: wrapFor.map(({ id }) => this.wrap(id)),
      ...change,
    }
  }

  /** A body under the newest epoch of a node that the replica knows. */
  body(node: EntityWords = ROOT_ENTITY, change: Partial<ForgedBody> = {}): ForgedBody {
    const row = this.replica.view.table.find(node.a, node.b, node.c, node.d)
    const epoch = row < 0 ? 0 : (this.replica.trust.newestEpoch(row)?.number ?? 0)
    return { node, epoch, bytes: this.bytes(12), ...change }
  }

  /** Groups bodies into blocks by node and epoch, in the order of their first use. */
  #seal(transactions: readonly ForgedTransaction[]): { parsed: ParsedTransaction[]; blocks: SealedBlock[] } {
    const open: { readonly body: ForgedBody; readonly content: ByteWriter }[] = []
    const parsed = transactions.map(({ nonce, guards, events }) => ({
      nonce,
      guards,
      events: events.map((forged) => {
        const event = eventOf(forged)
        const { body } = forged
        if (!body) return event
        let block = open.find(
          (one) => one.body.epoch === body.epoch && one.body.part === body.part && sameEntity(one.body.node, body.node),
        )
        if (!block) {
          block = { body, content: new ByteWriter(256) }
          open.push(block)
        }
        event.body = true
        event.block = open.indexOf(block)
        event.offset = block.content.at
        event.size = body.bytes.length
        block.content.raw(body.bytes)
        return event
      }),
    }))
    const blocks = open.map(
      ({ body, content }): SealedBlock => ({
        node: body.node,
        epoch: body.epoch,
        mode: BLOCK_MODE.epoch,
        encapsulated: undefined,
        salt: this.bytes(32),
        commitment: this.bytes(32),
        tag: this.bytes(16),
        size: content.at,
        ciphertext: content.copy(),
      }),
    )
    return { parsed, blocks }
  }
}

/** A role at a generation of its key: whom an epoch is wrapped to. */
export interface RoleAt {
  readonly role: EntityWords
  readonly generation: number
}

/** A person at a generation of its key; undefined is the key that it began with. */
export interface PersonAt {
  readonly person: Uint8Array
  readonly generation: number | undefined
}

function eventOf(forged: ForgedEvent): TransactionEvent {
  const event = new TransactionEvent(forged.op)
  const { a, b, c, d } = forged.entity ?? ROOT_ENTITY
  event.a = a
  event.b = b
  event.c = c
  event.d = d
  event.parent = forged.parent ?? ROOT_ENTITY
  event.collection = forged.collection ?? ''
  event.type = forged.type ?? ''
  event.key = forged.key ? wordsOf(forged.key) : null
  event.version = forged.version ?? 0
  event.rare = forged.rare ?? null
  return event
}

export function create(fields: Omit<ForgedEvent, 'op' | 'entity'> = {}): ForgedEvent {
  return { op: OP.create, ...fields }
}

export function change(op: Op, entity: EntityWords, fields: Omit<ForgedEvent, 'op' | 'entity'> = {}): ForgedEvent {
  return { op, entity, ...fields }
}

export function guard(kind: keyof typeof GUARD, entity: EntityWords, count = 0, collection = ''): Guard {
  return { kind: GUARD[kind] as GuardKind, entity, collection, count }
}

/** The 16 bytes of a clear name. */
export function nameKey(text: string): Uint8Array {
  const bytes = new Uint8Array(16)
  bytes.set(utf8(text).subarray(0, 16))
  return bytes
}

/** True if two records are the same bytes. */
export function sameRecord(x: LogRecord, y: LogRecord): boolean {
  return x.seq === y.seq && equalBytes(x.hash, y.hash) && equalBytes(x.bytes, y.bytes)
}
