/**
 * Ids that follow from what is signed, so that nobody chooses one: a created entity's from the chain, the author and
 * the transaction's nonce; a named one's from its place and its key.
 */
import { ByteWriter } from '../codec/writer.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { EntityWords, wordAt, writeWords } from './entity-words.ts'
import { OP } from './format.ts'
import type { TransactionEvent } from './transaction-event.ts'

/** The first 12 bytes of the ids that a transaction creates; the last 4 count its creations from 1. */
export function transactionPrefix(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  identity: Uint8Array,
  nonce: Uint8Array,
): EntityWords {
  place.reset()
  place.raw(contextBytes('entity'))
  place.raw(chainId)
  place.raw(identity)
  place.raw(nonce)
  crypto.sha256Into(place.bytes(), placeHash, 0)
  return new EntityWords(wordAt(placeHash, 0), wordAt(placeHash, 4), wordAt(placeHash, 8), 0)
}

/** transactionPrefix for one author: writes only the nonce anew. */
export class PrefixHasher {
  readonly #crypto: CryptoProvider
  readonly #bytes: Uint8Array
  readonly #hash = new Uint8Array(32)

  constructor(crypto: CryptoProvider, chainId: Uint8Array, identity: Uint8Array) {
    const context = contextBytes('entity')
    this.#crypto = crypto
    this.#bytes = new Uint8Array(context.length + 80)
    this.#bytes.set(context, 0)
    this.#bytes.set(chainId, context.length)
    this.#bytes.set(identity, context.length + 32)
  }

  prefixOf(nonce: Uint8Array): EntityWords {
    this.#bytes.set(nonce, this.#bytes.length - 16)
    this.#crypto.sha256Into(this.#bytes, this.#hash, 0)
    return new EntityWords(wordAt(this.#hash, 0), wordAt(this.#hash, 4), wordAt(this.#hash, 8), 0)
  }
}

/** The id of a named or keyed entity: the first 16 bytes of the hash of its place and its key (16 bytes, clear or blinded). */
export function namedEntity(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  parent: EntityWords,
  collection: string,
  key: EntityWords,
): EntityWords {
  place.reset()
  place.raw(contextBytes('namedEntity'))
  place.raw(chainId)
  writeWords(place, parent)
  writeWords(place, key)
  place.text(collection)
  crypto.sha256Into(place.view(), placeHash, 0)
  return new EntityWords(wordAt(placeHash, 0), wordAt(placeHash, 4), wordAt(placeHash, 8), wordAt(placeHash, 12))
}

/** Ids are many; nothing of another call runs between filling these and reading them. */
const place = new ByteWriter(256)
const placeHash = new Uint8Array(32)

/**
 * Gives the created entities of a parsed transaction their ids, as the fold does. `prefixes`, of the same author, saves
 * who names many transactions some time.
 */
export function nameCreated(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  identity: Uint8Array,
  transaction: { readonly nonce: Uint8Array; readonly events: readonly TransactionEvent[] },
  prefixes: PrefixHasher = new PrefixHasher(crypto, chainId, identity),
): void {
  const prefix = prefixes.prefixOf(transaction.nonce)
  let created = 0
  for (const event of transaction.events) {
    if (event.op !== OP.create) continue
    const words = event.key
      ? namedEntity(crypto, chainId, event.parent, event.collection, event.key)
      : new EntityWords(prefix.a, prefix.b, prefix.c, ++created)
    event.a = words.a
    event.b = words.b
    event.c = words.c
    event.d = words.d
  }
}
