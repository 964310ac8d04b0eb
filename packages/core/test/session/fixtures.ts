/** Shared by the tests of session/: seeded randomness, a platform in memory, and the search for leaked secrets. */
import { inspect } from 'node:util'
import { toHex } from '../../src/base/bytes.ts'
import type { Environment, Randomness } from '../../src/base/environment.ts'
import { isAteError } from '../../src/base/errors.ts'
import { toBase32 } from '../../src/base/ids.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import type { Argon2Parameters, CryptoProvider } from '../../src/crypto/provider.ts'
import { crc32 } from '../../src/log/crc32.ts'
import type { IdentityMakers } from '../../src/session/identity.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import type { Platform } from '../../src/session/platform.ts'
import type { StateStore } from '../../src/session/state-store.ts'

export const crypto: CryptoProvider = nobleProvider

/** Argon2id that takes a millisecond. */
export const quick: Argon2Parameters = { memoryKiB: 32, passes: 1, lanes: 2 }

/** Bytes of SHA-256 in counter mode: the same seed gives the same run. */
export function seededRandomness(seed: number): Randomness {
  let block = 0
  return {
    fill(bytes) {
      for (let at = 0; at < bytes.length; at += 32) {
        const digest = crypto.sha256(new TextEncoder().encode(`${seed}/${block++}`))
        bytes.set(digest.subarray(0, Math.min(32, bytes.length - at)), at)
      }
    },
  }
}

export function makers(seed: number): IdentityMakers {
  return { crypto, random: seededRandomness(seed) }
}

export interface MemoryFile {
  text: string
  mode: number
}

export type TestPlatform = Platform & {
  readonly disk: Map<string, MemoryFile>
  readonly variables: Map<string, string>
}

/** A platform in memory, with files that a test can see and change. */
export function memoryPlatform(seed = 1, state: StateStore = memoryState()): TestPlatform {
  const disk = new Map<string, MemoryFile>()
  const variables = new Map<string, string>()
  const environment: Environment = {
    clock: { now: () => 0, monotonic: () => 0 },
    random: seededRandomness(seed),
    timers: { start: () => ({ cancel: () => undefined }), pause: () => Promise.resolve() },
  }
  return {
    name: 'node',
    crypto,
    environment,
    state,
    crc32,
    disk,
    variables,
    files: {
      read: async (path) => disk.get(path),
      create: async (path, text) => !disk.has(path) && Boolean(disk.set(path, { text, mode: 0o600 })),
    },
    variable: (name) => variables.get(name),
    pathOf: (place: string) => place.slice('file:'.length),
    openFolder: async () => {
      throw new Error('no folders here')
    },
    databases: undefined,
    channel: () => undefined,
    warn: () => undefined,
    resolveTxt: async () => [],
    dial: async () => {
      throw new Error('no network here')
    },
  }
}

export async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run()
  } catch (error) {
    if (isAteError(error)) return error.code
    throw error
  }
  return 'nothing was thrown'
}

/** Every way in which a value shows itself to a log, a wire or a person. */
export function shownForms(value: unknown): string {
  const forms = [
    inspect(value, { depth: 20, showHidden: true, getters: true, maxStringLength: null, maxArrayLength: null }),
    inspect(value, { depth: 20, showHidden: true, customInspect: false, maxStringLength: null, maxArrayLength: null }),
    JSON.stringify(value) ?? '',
    `${value}`,
    String((value as { stack?: unknown }).stack ?? ''),
    inspect(structuredClone(value), { depth: 20, maxStringLength: null, maxArrayLength: null }),
  ]
  return singleSpaced(forms.join('\n'))
}

/** Node aligns numbers in columns. */
export function singleSpaced(text: string): string {
  return text.replace(/\s+/g, ' ')
}

/** Texts in which `bytes` may be hidden: runs of 12 of them, in each encoding. White space in what is searched is single. */
export function textsOf(bytes: Uint8Array): readonly string[] {
  const texts: string[] = []
  for (let at = 0; at + 12 <= bytes.length; at += 4) {
    const part = bytes.subarray(at, at + 12)
    const buffer = Buffer.from(part)
    texts.push(toHex(part), toHex(part).toUpperCase(), part.join(', '), part.join(','), buffer.toString('latin1'))
    texts.push([...part].map((byte) => byte.toString(16).padStart(2, '0')).join(' '))
    // Without the first and last characters, which depend on the neighbours.
    for (let shift = 0; shift < 3; shift++) {
      texts.push(
        Buffer.concat([Buffer.alloc(shift), buffer])
          .toString('base64')
          .slice(4, -4),
      )
      texts.push(
        Buffer.concat([Buffer.alloc(shift), buffer])
          .toString('base64url')
          .slice(4, -4),
      )
    }
    for (let shift = 0; shift < 5; shift++) {
      texts.push(toBase32(Buffer.concat([Buffer.alloc(shift), buffer])).slice(8, -2))
    }
  }
  return texts.filter((text) => text.length >= 6)
}
