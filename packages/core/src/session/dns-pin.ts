/**
 * What DNS says of a name: the TXT record `ate1 chain=ID` says which chain is meant there, `ate1 server=FINGERPRINT` which
 * key the server of that host has. One form, byte for byte, so that a typing error is an error and not another pin. Records
 * that do not begin with `ate1` are others' and passed over; a name may have a record of each kind; several that say the
 * same are one.
 */
import { AteError } from '../base/errors.ts'
import { type ChainId, chainIdOf, fromBase32 } from '../base/ids.ts'
import type { Platform } from './platform.ts'

/** A name has few TXT records; more than this is no answer to a question that was asked in earnest. */
const RECORDS_MAX = 64
/** Characters of one record that is looked at: more than any that is a pin. */
const RECORD_CHARS_MAX = 255
const NAME = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i

type PinKind = 'chain' | 'server'

/**
 * The chain that the TXT records of `name` name.
 * @throws AteError BAD_ARGUMENT (no DNS name) | BAD_PIN (no record, several chains, or one of another form) |
 * PIN_UNAVAILABLE
 */
export async function chainOfName(platform: Pick<Platform, 'resolveTxt'>, name: unknown): Promise<ChainId> {
  if (typeof name !== 'string' || !NAME.test(name))
    throw new AteError('BAD_ARGUMENT', { what: 'pin.dns is a DNS name' })
  return chainIdOf(pinIn(name, 'chain', await recordsOf(platform, name)))
}

/**
 * The fingerprint (32 bytes) of the server of `host`, by the TXT records of `_ate.<host>`.
 * @throws AteError BAD_ARGUMENT (no DNS name) | BAD_PIN (no record, several servers, or one of another form) |
 * PIN_UNAVAILABLE
 */
export async function serverOfHost(platform: Pick<Platform, 'resolveTxt'>, host: string): Promise<Uint8Array> {
  const name = `_ate.${host}`
  if (!NAME.test(name)) throw new AteError('BAD_ARGUMENT', { what: 'only a host with a DNS name is pinned by DNS' })
  return pinIn(name, 'server', await recordsOf(platform, name))
}

async function recordsOf(
  platform: Pick<Platform, 'resolveTxt'>,
  name: string,
): Promise<readonly (readonly string[])[]> {
  try {
    return await platform.resolveTxt(name)
  } catch (cause) {
    const reason = String((cause as { code?: unknown } | null)?.code)
    const isEmpty = reason === 'ENOTFOUND' || reason === 'ENODATA'
    throw new AteError(isEmpty ? 'BAD_PIN' : 'PIN_UNAVAILABLE', { name, reason }, { cause })
  }
}

function pinIn(name: string, kind: PinKind, records: readonly (readonly string[])[]): Uint8Array {
  if (records.length > RECORDS_MAX) throw new AteError('BAD_PIN', { name, records: records.length, max: RECORDS_MAX })
  const found = new Map<string, Uint8Array>()
  for (const parts of records) {
    const pin = parseRecord(name, parts.join(''))
    if (pin?.kind === kind) found.set(pin.text, pin.id)
  }
  if (found.size > 1) throw new AteError('BAD_PIN', { name, what: `two ${kind}s are named` })
  for (const id of found.values()) return id
  throw new AteError('BAD_PIN', { name, what: `no record is \`ate1 ${kind}=ID\`` })
}

/** Undefined for a record of others. */
function parseRecord(
  name: string,
  text: string,
): { readonly kind: string; readonly text: string; readonly id: Uint8Array } | undefined {
  if (!/^ate1(?: |$)/i.test(text)) return undefined
  const match = text.length <= RECORD_CHARS_MAX ? /^ate1 (chain|server)=([0-9a-z]{52})$/.exec(text) : null
  const id = match ? fromBase32(match[2]!, 32) : undefined
  if (!match || !id) throw new AteError('BAD_PIN', { name, what: 'a record is not `ate1 chain=ID`, nor `server`' })
  return { kind: match[1]!, text, id }
}
