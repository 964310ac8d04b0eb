/**
 * Wrapped values: a token that opens one value once. The token holds one half of the key, the ring the other; who takes the value
 * deletes it in a transaction first, so of two takers one comes too late, and knows it.
 *
 *   token = "atew1." || base64url(id of the entity, 16 bytes as text || half, 32 bytes)
 */
import { AteError, type Duration, durationMs, isAteError, isEffects, type StandardSchema } from '@ate/core'
import { fromBase64Url, toBase64Url } from './base64.ts'
import { type CallOptions, type Context, required, type WriteNowOptions } from './context.ts'
import { vaultError } from './errors.ts'
import { checkNames } from './option-names.ts'
import { derive, HALF_BYTES, openSealed, sealOnce } from './sealing.ts'
import { decodeValue, encodeValue, type SecretValue } from './value-bytes.ts'
import { IN, WrapType } from './vault-records.ts'

const PREFIX = 'atew1.'
const ID_CHARACTERS = 26

export async function wrap(
  context: Context,
  value: SecretValue,
  given: WriteNowOptions & { readonly ttl: Duration },
): Promise<string> {
  if (given?.ttl === undefined)
    throw new AteError('BAD_ARGUMENT', { option: 'ttl', what: 'how long the token is good' })
  checkNames(given, 'token')
  const { ttl, ...options } = given
  if (isEffects(options.tx)) {
    const hint = 'the token is known when the transaction has its entities: wrap in job.effect, with its tx'
    throw new AteError('BAD_ARGUMENT', { what: 'wrap takes a transaction, not the tx of a job' }, { hint })
  }
  const plain = encodeValue(value)
  const ms = durationMs(ttl, context.now)
  if (ms === 0) throw new AteError('BAD_ARGUMENT', { option: 'ttl', what: 'longer than nothing' })
  return context.write(options, async (tx) => {
    const { desk } = await context.layoutIn(tx)
    const [half, other] = [context.makers.random(HALF_BYTES), context.makers.random(HALF_BYTES)]
    const sealed = sealOnce(derive('wrap', half, other), 'wrap', plain.slice())
    const record = { ...sealed, expires: context.now + ms }
    // Whoever has the token may take it: it says who he is.
    const { id } = tx.create(WrapType, record, {
      parent: desk,
      in: IN.wraps,
      ttl: ms,
      read: 'everyone',
      write: 'everyone',
    })
    tx.attachKey(id, other)
    return PREFIX + toBase64Url(new TextEncoder().encode(id), half)
  })
}

/** @throws AteError BAD_TOKEN | TOKEN_SPENT | KEY_MISSING | BAD_VALUE */
export async function unwrap<T>(
  context: Context,
  token: string,
  schema: StandardSchema<unknown, T> | undefined,
  options: CallOptions,
): Promise<T> {
  const { id, half } = parseToken(token)
  const { chain } = context
  const found = await taken(() => chain.get(WrapType, id))
  if (!found || found.value.expires <= context.now) return spent(context, id, options)
  const recorded = context.recordsReads ? await recordTaking(context, id, found.value.expires, options) : undefined
  const other = await context.halfOf(id, { recorded })
  if (!other) {
    // Somebody may have taken it meanwhile, where others order the records.
    await chain.refresh()
    if (!chain.has(id)) return spent(context, id, options)
    throw new AteError('KEY_MISSING', { token: id })
  }
  const plain = openSealed(derive('wrap', half, other), 'wrap', found.value)
  try {
    // First: a token whose value does not fit is still there for who knows better what it holds.
    const value = await checked(decodeValue(plain), schema, id)
    const isOurs = await chain.transact(async (tx) => {
      if (!(await tx.get(WrapType, id))) return false
      tx.shred(id)
      return true
    }, options)
    return isOurs ? value : await spent(context, id, options)
  } finally {
    plain.fill(0)
  }
}

async function checked<T>(value: SecretValue, schema: StandardSchema<unknown, T> | undefined, id: string): Promise<T> {
  if (!schema) return value as T
  const result = await schema['~standard'].validate(value)
  if (result.issues) throw new AteError('BAD_VALUE', { token: id, issues: result.issues.length })
  return result.value
}

/** Durable before the key is asked for: who takes it says so, by a change that changes nothing. */
function recordTaking(context: Context, id: string, expires: number, options: CallOptions): Promise<number> {
  return context.record(async (tx) => {
    if (await tx.get(WrapType, id)) tx.expire(id, { expires: new Date(expires) })
  }, options)
}

/** A second try is worth knowing: it is recorded, if this session may write here. */
async function spent(context: Context, id: string, options: CallOptions): Promise<never> {
  const layout = required(await context.layout(options.signal), '')
  try {
    await context.chain.transact((tx) => {
      context.note(tx, layout.desk, { act: 'unwrap refused', path: id, version: 0 })
    }, options)
  } catch (error) {
    const isStranger =
      isAteError(error) && ['NOT_AUTHORIZED', 'UNKNOWN_WRITER', 'NO_READ_KEY', 'READ_ONLY'].includes(error.code)
    if (!isStranger) throw error
  }
  throw vaultError('TOKEN_SPENT', { token: id })
}

async function taken<T>(read: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (isAteError(error) && (error.code === 'WRONG_TYPE' || error.code === 'BAD_ID')) throw vaultError('BAD_TOKEN', {})
    throw error
  }
}

function parseToken(token: unknown): { readonly id: string; readonly half: Uint8Array } {
  const bytes =
    typeof token === 'string' && token.startsWith(PREFIX) ? fromBase64Url(token.slice(PREFIX.length)) : undefined
  if (bytes?.length !== ID_CHARACTERS + HALF_BYTES) throw vaultError('BAD_TOKEN', {})
  const id = String.fromCharCode(...bytes.subarray(0, ID_CHARACTERS))
  if (!/^[0-9a-z]{26}$/.test(id)) throw vaultError('BAD_TOKEN', {})
  return { id, half: bytes.slice(ID_CHARACTERS) }
}
