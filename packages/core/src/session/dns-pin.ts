/**
 * A chain named by DNS: the TXT record `ate1 chain=ID` of a name says which chain is meant there. One form, byte for
 * byte, so that a typing error is an error and not another pin. Records that do not begin with `ate1` are others' and
 * passed over; several that name the same chain are one.
 */
import { AteError } from '../base/errors.ts'
import { type ChainId, chainIdOf, fromBase32 } from '../base/ids.ts'
import type { Platform } from './platform.ts'

/** A name has few TXT records; more than this is no answer to a question that was asked in earnest. */
const RECORDS_MAX = 64
/** Characters of one record that is looked at: more than any that is a pin. */
const RECORD_CHARS_MAX = 255
const NAME = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i

/**
 * The chain that the TXT records of `name` name.
 * @throws AteError BAD_ARGUMENT (no DNS name) | BAD_PIN (no record, several chains, or one of another form) |
 * PIN_UNAVAILABLE
 */
export async function chainOfName(platform: Platform, name: unknown): Promise<ChainId> {
  if (typeof name !== 'string' || !NAME.test(name))
    throw new AteError('BAD_ARGUMENT', { what: 'pin.dns is a DNS name' })
  return chainOfRecords(name, await recordsOf(platform, name))
}

async function recordsOf(platform: Platform, name: string): Promise<readonly (readonly string[])[]> {
  try {
    return await platform.resolveTxt(name)
  } catch (cause) {
    const reason = String((cause as { code?: unknown } | null)?.code)
    const isEmpty = reason === 'ENOTFOUND' || reason === 'ENODATA'
    throw new AteError(isEmpty ? 'BAD_PIN' : 'PIN_UNAVAILABLE', { name, reason }, { cause })
  }
}

function chainOfRecords(name: string, records: readonly (readonly string[])[]): ChainId {
  if (records.length > RECORDS_MAX) throw new AteError('BAD_PIN', { name, records: records.length, max: RECORDS_MAX })
  let found: ChainId | undefined
  for (const parts of records) {
    const text = parts.join('')
    if (!/^ate1(?: |$)/i.test(text)) continue
    const match = text.length <= RECORD_CHARS_MAX ? /^ate1 chain=([0-9a-z]{52})$/.exec(text) : null
    const id = match ? fromBase32(match[1]!, 32) : undefined
    if (!id) throw new AteError('BAD_PIN', { name, what: 'a record is not `ate1 chain=ID`' })
    const chain = chainIdOf(id)
    if (found !== undefined && found !== chain) throw new AteError('BAD_PIN', { name, what: 'two chains are named' })
    found = chain
  }
  if (found === undefined) throw new AteError('BAD_PIN', { name, what: 'no record is `ate1 chain=ID`' })
  return found
}
