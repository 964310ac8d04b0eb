/** Why something was not done, as it is said on a connection: `code sized | facts sized`, facts in canonical CBOR. */
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { ADVICE, type ErrorCode, type ErrorFacts } from '../base/errors.ts'
import { ERROR_FACTS_BYTES_MAX } from '../base/limits.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import type { ByteReader, ByteWriter } from '../codec/writer.ts'

const CODE_BYTES_MAX = 64

export interface Refused {
  readonly code: ErrorCode
  readonly facts: ErrorFacts
}

/** Facts are cut where they are too long: they explain, and nothing depends on them. */
export function writeRefused(out: ByteWriter, { code, facts }: Refused): void {
  out.sized(utf8(code))
  const bytes = encodeCanonical(facts)
  out.sized(bytes.length <= ERROR_FACTS_BYTES_MAX ? bytes : encodeCanonical({}))
}

/** A code that is not known here, and facts of another form, are a newer server's: what it means is that it refuses. */
export function readRefused(input: ByteReader): Refused {
  const code = fromUtf8(input.sized(CODE_BYTES_MAX))
  const facts = factsOf(input.sized(ERROR_FACTS_BYTES_MAX))
  if (!Object.hasOwn(ADVICE, code)) return { code: 'SERVER_REFUSED', facts: { ...facts, code: code.slice(0, 40) } }
  return { code: code as ErrorCode, facts }
}

function factsOf(bytes: Uint8Array): ErrorFacts {
  const value = decodeCanonical(bytes)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
  const plain = ['string', 'number', 'boolean', 'bigint']
  const isPlain = (fact: unknown): boolean =>
    plain.includes(typeof fact) || (Array.isArray(fact) && fact.every((item) => typeof item === 'string'))
  return Object.fromEntries(Object.entries(value).filter(([, fact]) => isPlain(fact))) as ErrorFacts
}
