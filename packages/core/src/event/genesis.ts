/**
 * The first record: the parameters of a chain, whose hash is its id, the first epoch of the root, and the signatures of
 * the root identities over both. payload = parameters (sized CBOR) | epoch (sized CBOR) | count | signatures.
 */
import { equalBytes } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import { ByteReader, ByteWriter } from '../codec/writer.ts'
import { COMPOSITE_SIGNATURE_BYTES, compositeVerifier } from '../crypto/composite.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'
import { FORMAT, RECORD_HEAD_BYTES, SUITE } from './format.ts'
import { decodeRare, type EpochFields, encodeRare } from './rare-fields.ts'

/** Bytes of the parameters: 64 roots are 205 kB. */
export const PARAMETERS_BYTES_MAX: number = 1 << 19
const ROOTS_MAX = 64
const IDENTITY_KEYS_BYTES = 3200
const SIGNING_KEY_BYTES = 1984

export interface GenesisParameters {
  readonly format: number
  readonly suite: number
  readonly level: number
  /** 32 random bytes: two chains of one identity differ. */
  readonly nonce: Uint8Array
  /** Public keys of the root identities, 3200 bytes each. */
  readonly roots: readonly Uint8Array[]
  readonly sequencers: 'writers' | readonly Uint8Array[]
  /** The level that writers wait for before they base a commit on a record. */
  readonly durability: 'memory' | 'os' | 'disk' | 'quorum'
  /** Ed25519 keys that sign checkpoints. */
  readonly checkpointKeys: readonly Uint8Array[]
}

export interface Genesis {
  readonly chainId: Uint8Array
  readonly parameters: GenesisParameters
  readonly epoch: EpochFields
}

export function hashParameters(crypto: CryptoProvider, parameters: Uint8Array): Uint8Array {
  return taggedHash(crypto, 'genesis', parameters)
}

export function encodeParameters(parameters: GenesisParameters): Uint8Array {
  return encodeCanonical(parameters)
}

/**
 * The parameters that a chain id stands for.
 * @throws AteError BAD_GENESIS if the bytes are those of another chain, or none | BAD_CBOR | UNSUPPORTED_FORMAT
 */
export function parseParameters(crypto: CryptoProvider, bytes: Uint8Array, chainId: Uint8Array): GenesisParameters {
  if (!equalBytes(hashParameters(crypto, bytes), chainId)) throw new AteError('BAD_GENESIS', { what: 'chain id' })
  return checkParameters(decodeCanonical(bytes))
}

/** What each root identity signs, under the context 'genesis'. */
export function genesisMessage(crypto: CryptoProvider, chainId: Uint8Array, epoch: EpochFields): Uint8Array {
  const message = new Uint8Array(64)
  message.set(chainId, 0)
  crypto.sha256Into(encodeRare({ epoch }), message, 32)
  return message
}

export function encodeGenesis(
  parameters: Uint8Array,
  epoch: EpochFields,
  signatures: readonly Uint8Array[],
): Uint8Array {
  const out = new ByteWriter(8192)
  out.sized(parameters)
  out.sized(encodeRare({ epoch }))
  out.varint(signatures.length)
  for (const signature of signatures) out.raw(signature)
  return out.copy()
}

/** @throws AteError BAD_GENESIS | UNSUPPORTED_FORMAT | BAD_SIGNATURE */
export function parseGenesis(crypto: CryptoProvider, record: Uint8Array): Genesis {
  try {
    const input = new ByteReader(record, RECORD_HEAD_BYTES)
    const parameterBytes = input.sized(PARAMETERS_BYTES_MAX)
    const { epoch, ...more } = decodeRare(input.sized(1 << 19))
    const parameters = checkParameters(decodeCanonical(parameterBytes))
    // The roots sign the epoch alone: beside it anything could be put under their signatures.
    if (!epoch || Object.keys(more).length > 0) throw new AteError('BAD_GENESIS', { what: 'epoch' })
    const count = input.varint()
    if (count !== parameters.roots.length) throw new AteError('BAD_GENESIS', { what: 'signatures', count })
    const chainId = hashParameters(crypto, parameterBytes)
    const message = genesisMessage(crypto, chainId, epoch)
    for (const keys of parameters.roots) {
      const verifier = compositeVerifier(crypto, keys.subarray(0, SIGNING_KEY_BYTES))
      const signature = input.raw(COMPOSITE_SIGNATURE_BYTES)
      if (!verifier.verify(message, signature, contextBytes('genesis'))) throw new AteError('BAD_SIGNATURE', { seq: 0 })
    }
    input.done()
    return { chainId, parameters, epoch }
  } catch (cause) {
    if (cause instanceof AteError && (cause.code === 'BAD_RECORD' || cause.code === 'BAD_CBOR'))
      throw new AteError('BAD_GENESIS', {}, { cause })
    throw cause
  }
}

/**
 * The keys of the first root in a genesis that was verified when it was stored: whose the chain is.
 * @throws AteError BAD_GENESIS | BAD_RECORD | BAD_CBOR | UNSUPPORTED_FORMAT
 */
export function firstRootIn(record: Uint8Array): Uint8Array {
  const input = new ByteReader(record, RECORD_HEAD_BYTES)
  return checkParameters(decodeCanonical(input.sized(PARAMETERS_BYTES_MAX))).roots[0]!
}

function checkParameters(value: unknown): GenesisParameters {
  const given = value as GenesisParameters
  const sized = (list: unknown, size: number, max: number): boolean =>
    Array.isArray(list) &&
    list.length <= max &&
    list.every((item) => item instanceof Uint8Array && item.length === size)
  if (typeof value !== 'object' || value === null) throw new AteError('BAD_GENESIS')
  if (given.format !== FORMAT || given.suite !== SUITE)
    throw new AteError('UNSUPPORTED_FORMAT', { format: given.format, suite: given.suite })
  const ok =
    Object.keys(value).length === 8 &&
    Number.isSafeInteger(given.level) &&
    given.level >= 1 &&
    given.nonce instanceof Uint8Array &&
    given.nonce.length === 32 &&
    sized(given.roots, IDENTITY_KEYS_BYTES, ROOTS_MAX) &&
    given.roots.length > 0 &&
    (given.sequencers === 'writers' || (sized(given.sequencers, 32, ROOTS_MAX) && given.sequencers.length > 0)) &&
    ['memory', 'os', 'disk', 'quorum'].includes(given.durability) &&
    sized(given.checkpointKeys, 32, ROOTS_MAX)
  if (!ok) throw new AteError('BAD_GENESIS', { what: 'parameters' })
  return given
}
