/**
 * The manifest of an object: JSON with its fields in one order. The SHA-256 of its text stands in clear in the record that
 * locks the object, so that a proof of that record is a proof of the body. Who guesses a body cannot test the guess, since
 * the salt is known to readers only, and to whom they give a proof.
 */
import { AteError } from '@ate/core'

export type Mode = 'governance' | 'compliance'

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

export interface Manifest {
  readonly format: 'ate-worm/1'
  readonly name: string
  /** Bytes of the body, decimal. */
  readonly size: string
  /** SHA-256 of the body, hexadecimal. */
  readonly sha256: string
  readonly chunks: number
  readonly chunkBytes: number
  /** Media type. */
  readonly type?: string
  readonly meta?: Json
  readonly subject?: string
  /** As it was put; what holds now is clear, and only stronger. */
  readonly mode: Mode
  /** Unix ms. */
  readonly retainUntil?: number
  /** Chain time at which it was written, Unix ms, and the author's fingerprint: what the author said. */
  readonly at: number
  readonly by: string
  /** 32 random bytes, base64. */
  readonly salt: string
}

export function manifestText(manifest: Manifest): string {
  const { format, name, size, sha256, chunks, chunkBytes, type, meta, subject, mode, retainUntil, at, by, salt } =
    manifest
  return JSON.stringify({
    ...{ format, name, size, sha256, chunks, chunkBytes },
    ...{ type, meta, subject, mode, retainUntil, at, by, salt },
  })
}

/** The last time that a Date can say. */
const DATE_MS_MAX = 8.64e15

function chunksIn(size: bigint, chunkBytes: number): number {
  return Number((size + BigInt(chunkBytes) - 1n) / BigInt(chunkBytes))
}

/** Of a time in clear, which a member may have set beyond what a Date can say. */
export function dateOf(ms: number): Date {
  return new Date(Math.min(ms, DATE_MS_MAX))
}

/** @throws AteError BAD_VALUE if the text is no manifest in its one form */
export function parseManifest(text: string): Manifest {
  const bad = (): AteError => new AteError('BAD_VALUE', { what: 'a manifest' })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw bad()
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad()
  const given = value as Record<string, unknown>
  const isText = (name: string): boolean => typeof given[name] === 'string'
  const isCount = (name: string): boolean => Number.isSafeInteger(given[name]) && (given[name] as number) >= 0
  const isFormed =
    given['format'] === 'ate-worm/1' &&
    isText('name') &&
    isText('size') &&
    /^(0|[1-9][0-9]{0,18})$/.test(given['size'] as string) &&
    isText('sha256') &&
    /^[0-9a-f]{64}$/.test(given['sha256'] as string) &&
    isCount('chunkBytes') &&
    (given['chunkBytes'] as number) > 0 &&
    given['chunks'] === chunksIn(BigInt(given['size'] as string), given['chunkBytes'] as number) &&
    (given['mode'] === 'governance' || given['mode'] === 'compliance') &&
    (given['retainUntil'] === undefined || isCount('retainUntil')) &&
    (given['type'] === undefined || isText('type')) &&
    (given['subject'] === undefined || isText('subject')) &&
    isCount('at') &&
    isText('by') &&
    isText('salt')
  // A writer may have written anything: dates are such as a Date can say.
  const times = [given['at'], given['retainUntil'] ?? 0] as readonly number[]
  if (!isFormed || times.some((ms) => ms > DATE_MS_MAX) || manifestText(given as unknown as Manifest) !== text)
    throw bad()
  return given as unknown as Manifest
}
