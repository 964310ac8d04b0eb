/**
 * The one error class of every package, and the codes that core and several kits share. Codes of one kit, with their texts,
 * stand in its own `errors.ts`: a page that does not load the kit does not load them.
 *
 * A code is one thing that the caller can do. Facts are plain values (never key material, never a body), and the text
 * says what to do next. Errors are recognized by brand, so that two copies of this package in one process agree.
 */

const BRAND = Symbol.for('ate.error')

/** Facts of an error: small, printable, never secret. */
export type ErrorFacts = Readonly<
  Record<string, string | number | boolean | bigint | null | undefined | readonly string[]>
>

export interface AteErrorOptions {
  readonly cause?: unknown
  /** Instead of the advice of the code. */
  readonly hint?: string
  /** Of ROLLBACK and FORK. */
  readonly evidence?: object
}

/**
 * Everything that @ate throws. `code` is literal and documented in docs/ERRORS.md; `facts` say where and how much;
 * `message` says what to do.
 */
export class AteError extends Error {
  readonly code: ErrorCode
  readonly facts: ErrorFacts
  /** Of ROLLBACK and FORK: what `verifyEvidence` checks, as JSON. Kilobytes, so it is not enumerable and no log prints it. */
  declare readonly evidence: object | undefined

  constructor(code: ErrorCode, facts: ErrorFacts = {}, options?: AteErrorOptions) {
    const shown = Object.entries(facts).filter(([, value]) => value !== undefined)
    const text = shown
      .map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(', ') : String(value)}`)
      .join(', ')
    const advice = options?.hint ?? adviceOf(code)
    super(
      `${code}${advice ? `: ${advice}` : ''}${text ? ` (${text})` : ''}`,
      options?.cause === undefined ? undefined : { cause: options.cause },
    )
    this.name = 'AteError'
    Object.defineProperty(this, BRAND, { value: true })
    Object.defineProperty(this, 'evidence', { value: options?.evidence })
    this.code = code
    this.facts = Object.fromEntries(shown)
  }
}

/** True for an AteError of any copy of this package. */
export function isAteError(error: unknown): error is AteError {
  return typeof error === 'object' && error !== null && Reflect.get(error, BRAND) === true
}

/** Our own mistakes, not the caller's: assertions stay on in production. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new AteError('INTERNAL', { what })
}

/** For kits: what is open on a chain has ended with it, and has not failed. */
export function isChainClosed(error: unknown): boolean {
  return isAteError(error) && (error.code === 'CHAIN_CLOSED' || error.facts['closed'] === true)
}

/**
 * Rejects with the signal's reason if it is aborted. What is no signal, as the controller of one, is refused here, where
 * nothing has been done yet. @throws AteError BAD_ARGUMENT
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal) return
  if (signal.aborted) throw signal.reason
  if (typeof signal.addEventListener !== 'function')
    throw new AteError('BAD_ARGUMENT', { what: 'signal: an AbortSignal' })
}

/**
 * Every code of core with its advice. `docs/ERRORS.md` is made from this table, those of the kits, and the places that throw;
 * a test keeps them equal.
 */
export const ADVICE = {
  // arguments
  BAD_ARGUMENT: 'an argument has a wrong type or shape; see the facts',
  BAD_VALUE: 'the value does not pass its schema, or holds what cannot be stored; nothing was written',
  VALUE_TOO_LARGE: 'the encoded value is over the limit; split it, or store it in parts',
  TX_TOO_LARGE: 'the transaction does not fit into one commit; make it smaller',
  BAD_ID: 'this is no id of that kind; take it from a handle or a chain',
  BAD_URL:
    'a place is memory:, file:PATH, ws://HOST:PORT/NAME, indexeddb:NAME in a page of https: or localhost, or an engine',
  // opening
  CHAIN_NOT_FOUND: 'there is no chain here; check the place, or open it for writing to create one',
  CHAIN_LOCKED:
    'this chain is open for writing already. Open it once in a process, and in several with { share: true }, or serve its folder (ate serve); or read beside the writer with { readOnly: true }',
  CHAIN_GONE: 'a chain that this machine remembers is gone; restore it, or open with { create: true } to begin anew',
  CHAIN_ELSEWHERE: 'servers name each other for this chain: start all of them with the same list (--nodes-list)',
  CHAIN_COPY:
    'this is a copy, and a second writer would fork the chain: write in the original, or push it; if it is lost, recover',
  CHAIN_MOVED: 'this chain was moved, and goes on in the place that the facts name; open it there',
  CHAIN_INCOMPLETE: 'a copy into this folder did not finish; run it again, or destroy what is here',
  CHAIN_DESTROYED: 'this chain is being destroyed, or that was interrupted; destroy it again to finish',
  CHAIN_EXISTS: 'a chain stands here already; give an empty or a new folder',
  BAD_BACKUP: 'this is no whole backup, or a file of it was changed: the facts name it. Take another',
  BAD_PIN: 'no TXT record of the name names one chain; mend the record, or pass the id',
  PIN_UNAVAILABLE: 'the TXT records of the name cannot be asked for now; try again, or pass the id',
  NOT_PINNED: 'this chain was made by others; pass its id to say that it is the one you mean',
  WRONG_CHAIN: 'the chain here is not the one whose id you gave',
  NOT_A_CHAIN: 'something else stands there; give an empty or a new folder',
  NEEDS_UPGRADE: 'newer software wrote this; update @ate, or the program that defines the type',
  UNSUPPORTED_FORMAT: 'the files are of a newer format; update @ate/core',
  READ_ONLY: 'the chain was opened for reading only, or its disk is read-only',
  CHAIN_CLOSED: 'the chain is closed; open it again',
  STATE_UNWRITABLE: "this machine's state folder cannot be written; set ATE_HOME to a folder that can",
  // identity
  BAD_IDENTITY: 'this is no identity file, or it is damaged',
  BAD_PUBLIC_ID: 'this is no public id, or a character of it is wrong',
  PASSPHRASE_NEEDED: 'the identity file is sealed; pass its passphrase',
  WRONG_PASSPHRASE: 'the passphrase does not open this identity',
  IDENTITY_EXISTS: 'a file is already there; choose another name',
  INSECURE_FILE: 'the identity file can be read by others; set its mode to 0600',
  // authority and reading
  NOT_AUTHORIZED: 'this identity may not do that here; ask someone who manages the node',
  NO_READ_KEY: 'this identity holds no key that opens this; ask someone who manages the node to add it',
  NEEDS_REKEY: 'the read key here is stale, and this identity cannot renew it; a reader must write first',
  NO_PERSON: 'nobody on this chain has named this person, or the key is none of its keys',
  NOT_OWNER: 'this key may act for its person, not change it; use the key of an owner',
  LAST_OWNER: 'the person would be left without an owner; add another first',
  KEY_IN_USE: 'the chain knows this key already; make a new identity',
  KEY_REMOVED: 'this key was taken out of its person, and acts for nobody here; use another',
  BAD_CONSENT: 'the key has not agreed to belong to this person on this chain; make a consent with it',
  NO_ROLE: 'there is no role of that name here',
  NOT_FOUND: 'there is no such entity, or it was deleted',
  WRONG_TYPE: 'the entity is of another type',
  LOCKED: 'the value is sealed under a key that this identity does not hold yet',
  BODY_DROPPED: 'compaction has dropped this older value; the newest is there, and the history without values',
  BAD_WRAP: 'a wrapped key does not fit its commitment; the next epoch mends it',
  // transactions
  CONFLICT: 'another transaction changed what this one read; run it again',
  TX_CLOSED: 'the transaction is over; begin a new one',
  TX_PENDING: 'the function returned before its calls did; await each of them',
  TX_RETRIES: 'the transaction conflicted too often; make it smaller, or spread the writes',
  STALE_BASE: 'a forgotten id stands between what this transaction saw and now; run it again',
  STALE_EPOCH: 'a newer read key exists for this node; the write is sealed again and retried',
  INDETERMINATE: 'the outcome is not known yet; ask chain.outcome with the id',
  // rules of the fold
  TREE_CYCLE: 'an entity cannot be moved into itself or below itself',
  TREE_DEPTH: 'the tree is at most 32 levels deep',
  NOT_EMPTY: 'an entity with children cannot be deleted; delete them first',
  NAME_TAKEN: 'an entity of this name exists here',
  RESERVED_NAME: 'names that begin with ate: belong to the chain itself; choose another',
  ID_REUSED: 'an entity of this id was made before; a transaction was sent twice',
  NAMED_MOVE: 'a named entity cannot be moved; its id is its place',
  COUNTER_BOUNDS: 'the counter would leave its bounds',
  NO_COUNTER: 'the entity has no such counter',
  NOT_CONSERVED: 'the amounts of a unit do not add up to zero, and this identity may not mint it',
  RETAINED: 'the entity is retained; it cannot be changed or deleted before its time',
  RETAIN_SHRINKS: 'retention only grows',
  WRITE_ONCE: 'it is locked, and kept as it was written; write a new one, or delete it when its time is over',
  TIME_UNPROVEN:
    'its time is over by chain time only: have a checkpoint cosigned by the witnesses that were named when it was locked',
  NOT_EXPIRED: 'the entity has not expired yet',
  EPOCH_ORDER: 'an epoch is the last plus one',
  EPOCH_SHAPE: 'the wraps of an epoch do not fit the stored read policy',
  LAST_MANAGER: 'the chain would be left without anyone who manages its root',
  LEVEL_SHRINKS: 'the level of the rules only rises',
  LEVEL_TOO_LOW: 'the rules of this chain are of a level that does not know this; the root can raise it',
  LEVEL_TOO_HIGH: 'this version of @ate/core does not know rules of that level; update it first',
  // of more than one kit
  BAD_PATTERN:
    'this is no pattern. Of events: * is one token, > at the end one or more. Of secrets: a path, a path and /**, or **',
  LEASE_LOST: 'somebody else has taken this over, and nothing of this was committed',
  CAS_MISMATCH: 'the newest version is not the one that you expected; read it, and decide again',
  KEY_MISSING:
    'half of the key of this value is not beside the log; restore the key ring from a backup that holds keys',
  // services
  NO_SERVICE: 'nobody has founded this service here; found it with foundService, or give its parent',
  NO_PROCEDURE: 'the service has no procedure of that name: it may be of another version',
  SERVICE_ERROR: 'the service refuses the call; the reason and the text are its own',
  HANDLER_FAILED: 'the handler failed; who runs the service sees the error',
  CALL_LOST: 'the call was withdrawn, has expired, or is answered elsewhere: what was to commit with the reply did not',
  TIMEOUT:
    'no reply came in time. Unless the state is unknown, the call was withdrawn, and nothing commits with its reply',
  TOO_MANY_CALLS: 'too many calls of this process wait for this service; wait for some of them',
  // commits
  CERT_UNKNOWN: 'the writer certificate is not known on this chain',
  CERT_ENDED: 'the writer certificate has ended; the writer takes a new one',
  UNKNOWN_WRITER: 'nobody on this chain has named this identity',
  SEQ_USED: 'the writer number was used before',
  SEQ_GAP: 'a writer number was skipped',
  BASE_MISMATCH: 'the commit names a record that this chain does not have',
  // the network
  BAD_MESSAGE: 'the other side said what nobody says; it is of another version, or hostile',
  SERVER_REFUSED: 'the server has a reason that this version does not know; the facts name it',
  OFFLINE: 'there is no connection to the server now; nothing of this was sent. Try again later',
  BUSY: 'the server has no room for this now; it is sent again a little later',
  RATE_LIMITED: 'the server takes no more from here for a while; it is sent again a little later',
  QUOTA_EXCEEDED: 'who made the chain has as many chains or bytes here as he may; free some, or ask the operator',
  // integrity
  DAMAGED: 'stored bytes are damaged; the facts name the place. Restore from a copy, or salvage',
  LINK_MISMATCH: 'a record does not follow the one before it; the log was altered',
  BAD_SIGNATURE: 'a signature does not verify; the record was altered or forged',
  BAD_ROOT: 'the contents of a record do not fit its signed root; the record was altered',
  BAD_BODY: 'sealed bytes do not fit their hash or tag; they were altered',
  BAD_CERTIFICATE: 'a writer certificate does not verify; it was altered or forged',
  BAD_ATTESTATION: 'an attestation does not verify; it was altered or forged',
  BAD_RECOVERY: 'a record of recovery does not verify, or its author does not manage the root',
  BAD_CHECKPOINT: 'a checkpoint does not fit the log or its signature',
  BAD_COSIGNATURE: 'the line of a witness that you trust does not verify; it was altered or forged',
  BAD_PROOF: 'the proof does not verify; it was altered, or it is of something else',
  NO_CHECKPOINT: 'no checkpoint covers this yet; make one with chain.checkpoint()',
  NOT_WITNESSED: 'fewer witnesses than asked for have cosigned; have a checkpoint cosigned, or ask for fewer',
  BAD_GENESIS: 'the first record is no genesis of this chain',
  BAD_SEQUENCER: 'a record was ordered by someone whom the chain does not name',
  BAD_RECORD: 'a record does not decode',
  BAD_CBOR: 'bytes from outside are not the strict CBOR that is accepted here',
  BAD_SNAPSHOT:
    'the snapshot is none that this machine made of this log, which was verified from its start: nothing is to be done',
  ROLLBACK: 'the chain here is older than what this machine has verified before; find the newer copy',
  FORK: 'the chain here differs from what this machine has verified before; someone rewrote history',
  // the network
  SERVER_UNREACHABLE:
    'no server of ours answers there; check the address, and that it runs. The facts say what came instead',
  BAD_CHAIN_NAME:
    'a server has no chains of such a name; it is parts with / between them, none empty or hidden, and without ~ or \\',
  CANNOT_LISTEN: 'the server cannot listen there; the facts say why. Another program may hold the port',
  HANDSHAKE_FAILED: 'the other end is none of ate, or somebody changed what was said; try again',
  WIRE_VERSION: 'the two ends speak no common version of the wire; update the older one',
  WIRE_BROKEN: 'a frame of the connection was altered, lost or repeated; connect again',
  SERVER_UNKNOWN:
    'nothing says which key this server has; ask who runs it for its fingerprint, and pass that as serverKey',
  SERVER_CHANGED:
    'the server has another key than it is known by, and the old one has not signed the change; ask who runs it before you pass serverKey',
  BAD_SESSION: 'an identity did not prove that it speaks on this connection',
  BAD_ACKNOWLEDGEMENT: 'what a server signed (delegation, acknowledgement or succession) does not verify',
  // the disk
  DISK_FULL: 'the disk is full; free some space. Nothing of this write was kept',
  TOO_MANY_FILES:
    'no more files may be open here; raise the limit (ulimit -n). Nothing of this write was kept: try again',
  IO_ERROR: 'the disk refused an operation',
  WRITER_POISONED: 'a sync failed earlier, so nothing more is acknowledged; close, check the disk, open again',
  WRITER_FENCED: 'another writer took this chain over; this one stopped',
  KEYS_UNAVAILABLE:
    'keys beside the log cannot be kept, copied or destroyed from here; the facts say more, or work where the log is kept',
  KEY_NOT_ERASED:
    'the deletion stands in the log, but the key is still there; open the chain again to finish, and look at the disk',
  KEY_NOT_RECORDED:
    'an attached key is given behind a durable record of asking: commit one that guards the entity, and give its seq',
  DURABILITY_UNAVAILABLE: 'this engine cannot reach the level of durability asked for',
  // ours
  CRYPTO_SELF_TEST: 'a cryptographic self-test failed on this machine; do not use it',
  INTERNAL: 'this is a mistake of @ate; please report it with the facts',
} as const

/** Codes of kits: each adds its own, in a program that imports it. */
// biome-ignore lint/suspicious/noEmptyInterface: kits extend it
export interface KitErrors {}

export type ErrorCode = keyof typeof ADVICE | keyof KitErrors

/** Makes the errors of a kit. */
export type ErrorMaker<Code extends string> = (code: Code, facts?: ErrorFacts, options?: AteErrorOptions) => AteError

/** What makes the errors of the kit whose codes `advice` lists. */
export function errorsOf<Code extends string>(advice: Readonly<Record<Code, string>>): ErrorMaker<Code> {
  return (code, facts, options) => new AteError(code as ErrorCode, facts, { hint: advice[code], ...options })
}

/** Undefined for a code of a kit: there the kit gives it. */
function adviceOf(code: string): string | undefined {
  return Object.hasOwn(ADVICE, code) ? ADVICE[code as keyof typeof ADVICE] : undefined
}

/** A write that left nothing behind, and may be taken another time. */
export function isRefusedWrite(error: unknown): error is AteError {
  return isAteError(error) && (error.code === 'DISK_FULL' || error.code === 'TOO_MANY_FILES')
}

/** What a disk does to a log, or somebody who can write to it. */
const ALTERED: readonly ErrorCode[] = [
  'DAMAGED',
  'LINK_MISMATCH',
  'BAD_SIGNATURE',
  'BAD_ROOT',
  'BAD_BODY',
  'BAD_CERTIFICATE',
  'BAD_ATTESTATION',
  'BAD_CHECKPOINT',
  'BAD_RECOVERY',
  'BAD_SEQUENCER',
  'BAD_GENESIS',
  'BAD_RECORD',
  'BAD_CBOR',
]

/** Something is wrong with the log, its disk or this machine, whatever the caller did: observers hear of these. */
const ALARMS: ReadonlySet<string> = new Set<ErrorCode>([
  ...ALTERED,
  'CHAIN_GONE',
  'WRONG_CHAIN',
  'BAD_WRAP',
  'ROLLBACK',
  'FORK',
  'DISK_FULL',
  'TOO_MANY_FILES',
  'IO_ERROR',
  'WRITER_POISONED',
  'WRITER_FENCED',
  'STATE_UNWRITABLE',
  'CRYPTO_SELF_TEST',
  'INTERNAL',
])

export function isAlarm(code: string): boolean {
  return ALARMS.has(code)
}

/** True for what is said of a log that cannot be read, or was altered. */
export function isAltered({ code }: AteError): boolean {
  return ALTERED.includes(code)
}
