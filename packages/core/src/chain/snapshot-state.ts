/**
 * The folded state as bytes, rows of entities apart (they are written as they stand in memory). The order here is the
 * format of docs/FORMAT.md, section 13; a change of it, or of what the fold makes, is a new format of the snapshot.
 */
import { AteError, type ErrorFacts } from '../base/errors.ts'
import type { Steps } from '../base/steps.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import type { ByteReader, ByteWriter } from '../codec/writer.ts'
import { TreeFrontier } from '../crypto/merkle.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { Head } from '../log/engine.ts'
import type { View } from '../view/view.ts'
import { RecordHashes } from './record-hashes.ts'
import { RecordPrints } from './record-prints.ts'
import type { FoldedState, Replica } from './replica.ts'
import {
  bytes,
  type Codec,
  count,
  type DataOf,
  each,
  eachEntry,
  type Links,
  map,
  optional,
  Pool,
  type Section,
  struct,
  type Table,
  table,
  text,
  whole,
} from './snapshot-fields.ts'
import { ROLE, rolesOf, TRUST } from './snapshot-trust.ts'
import { VIEW } from './snapshot-view.ts'
import type { Refusal } from './verdict.ts'

/** Writes the state to `out` and stops between items, so that the caller can take out what is there. */
export function* writeState(crypto: CryptoProvider, out: ByteWriter, replica: Replica): Steps<void> {
  const links: Links = { crypto, view: replica.view, roles: rolesOf(replica), keys: new Pool(), persons: new Map() }
  for (const keys of replica.trust.identities.values()) links.keys.add(keys)
  yield* each(ROLE).write(out, links.roles.items, links)
  yield* STATE.write(out, replica, links)
}

/** Reads what writeState wrote; `view` holds the rows already. Stops between items. @throws AteError BAD_RECORD | BAD_SNAPSHOT */
export function* readState(crypto: CryptoProvider, input: ByteReader, view: View): Steps<FoldedState> {
  const links: Links = { crypto, view, roles: new Pool(), keys: new Pool(), persons: new Map() }
  for (const role of yield* each(ROLE).read(input, links)) links.roles.add(role)
  const state = yield* STATE.read(input, links)
  input.done()
  return state
}

const CHECKPOINT: Codec<NonNullable<Replica['newestCheckpoint']>> = struct<NonNullable<Replica['newestCheckpoint']>>({
  seq: count,
  note: bytes,
  tree: bytes,
})

const HEAD: Codec<Head> = struct<Head>({ seq: count, hash: bytes })

const HASHES: Section<RecordHashes> = {
  *write(out, hashes) {
    out.varint(hashes.size)
    for (const piece of hashes.pieces()) {
      out.raw(piece)
      yield
    }
  },
  *read(input) {
    const hashes = new RecordHashes()
    for (let left = input.varint(); left > 0; left--) {
      hashes.push(input.raw(32))
      if (hashes.size % 4096 === 0) yield
    }
    return hashes
  },
}

const PRINTS: Section<RecordPrints | undefined> = {
  *write(out, prints) {
    for (const [seq, print] of prints?.entries() ?? []) {
      out.varint(1 + seq)
      out.raw(print)
      yield
    }
    out.varint(0)
  },
  *read(input) {
    let prints: RecordPrints | undefined
    for (let next = input.varint(); next > 0; next = input.varint()) {
      prints ??= new RecordPrints()
      prints.set(next - 1, input.raw(32))
      yield
    }
    return prints
  },
}

const TREE: Codec<TreeFrontier> = {
  write: (out, tree) => out.sized(tree.save()),
  read(input, links) {
    const tree = TreeFrontier.restore(links.crypto, input.sized(input.left))
    if (!tree) throw new AteError('BAD_SNAPSHOT', { what: 'tree' })
    return tree
  },
}

/** Facts are shown, and decide nothing: a sum that is too large for CBOR is kept as text. */
const FACTS: Codec<ErrorFacts> = {
  write(out, facts) {
    const shown = Object.entries(facts).map(([key, fact]) => [key, isLarge(fact) ? String(fact) : fact])
    out.sized(encodeCanonical(Object.fromEntries(shown)))
  },
  read: (input) => decodeCanonical(input.sized(input.left)) as ErrorFacts,
}

function isLarge(fact: unknown): boolean {
  return typeof fact === 'bigint' && BigInt.asIntN(128, fact) !== fact
}

const REFUSAL: Codec<Refusal> = struct<Refusal>({ code: text as Codec<Refusal['code']>, facts: FACTS })

/** Fields of a replica that nobody has said what becomes of: with one, STATE does not compile. */
type Unlisted = Exclude<
  keyof DataOf<Replica>,
  keyof FoldedState | 'crypto' | 'genesis' | 'chainId' | 'attestedSeq' | 'signatures' | 'hashedBodies'
>

const STATE: Section<FoldedState> = table<FoldedState & Record<Unlisted, unknown>>({
  trust: TRUST,
  view: VIEW,
  hashes: HASHES,
  prints: PRINTS,
  tree: whole(TREE),
  voids: eachEntry(count, map(count, REFUSAL)),
  head: whole(HEAD),
  chainTime: whole(count),
  checkpoints: whole(count),
  newestCheckpoint: whole(optional(CHECKPOINT)),
  adopted: whole(count),
} satisfies Table<FoldedState>)
