/**
 * A platform for tests: simulated disks, this machine's state in memory, seeded randomness, and a clock with timers that
 * a test moves by hand. The same seed and the same calls give the same bytes, unless another provider draws its own.
 */

import { AteError } from '../base/errors.ts'
import type { Dial } from '../base/socket.ts'
import { nobleProvider } from '../crypto/noble.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { crc32 } from '../log/crc32.ts'
import type { FileSystem } from '../log/file-system.ts'
import { memoryState } from '../session/memory-state.ts'
import type { Channel, Platform } from '../session/platform.ts'
import type { StateStore } from '../session/state-store.ts'
import { type SeededRandom, seededRandom } from './random.ts'
import { SimFileSystem } from './sim-file-system.ts'
import { type SimTime, simTime } from './sim-time.ts'

export interface TestPlatform extends Platform {
  readonly random: SeededRandom
  /** Environment variables, empty at first. */
  readonly variables: Map<string, string>
  /** What the process was warned of. */
  readonly warnings: unknown[]
  /** TXT records by DNS name, empty at first: their parts, or the error that asking gives. */
  readonly txt: Map<string, readonly (readonly string[])[] | Error>
  /** The disk behind `file:PATH`; made, without a folder, when it is first asked for. */
  disk(path: string): SimFileSystem
  /** Moves both clocks on, and runs the timers that are due, in the order of their times. */
  advance(ms: number): void
  /** Sets the wall clock, also back; monotonic time goes on. */
  setWallClock(ms: number): void
}

export interface TestPlatformOptions {
  /** The pure one if left out: native ones draw randomness of their own. */
  readonly crypto?: CryptoProvider
  /** To give one machine's state to a second platform. */
  readonly state?: StateStore
  /** To give one machine's disks to a second platform, that of another process. */
  readonly disks?: Map<string, SimFileSystem>
  /** Stands between the log and its disk. */
  readonly wrapDisk?: (fs: FileSystem) => FileSystem
  /** Such as one machine's in a simulated network; without it no server is reachable. */
  readonly dial?: Dial
  /** To give one time to the platforms of several machines; `setWallClock` sets one machine's alone. */
  readonly time?: SimTime
  /** None if left out. */
  readonly channel?: (name: string) => Channel | undefined
}

/** Folders of which each is a disk of its own. */
function namesBelow(disks: ReadonlyMap<string, SimFileSystem>, path: string): string[] {
  return [...disks]
    .filter(([at, disk]) => disk.hasFolder && at.startsWith(`${path}/`))
    .map(([at]) => at.slice(path.length + 1))
    .filter((name) => !name.includes('/'))
}

export function testPlatform(seed: number, options: TestPlatformOptions = {}): TestPlatform {
  const random = seededRandom(seed)
  const disks = options.disks ?? new Map<string, SimFileSystem>()
  const variables = new Map<string, string>()
  const warnings: unknown[] = []
  const txt: TestPlatform['txt'] = new Map()
  const texts = new Map<string, string>()
  const time = options.time ?? simTime()
  let wallAheadMs = 0

  function disk(path: string): SimFileSystem {
    const known = disks.get(path)
    if (known) return known
    const below = (): string[] => namesBelow(disks, path)
    const made = new SimFileSystem(seed + disks.size, { folder: 'missing', below })
    disks.set(path, made)
    return made
  }

  return {
    name: 'node',
    crypto: options.crypto ?? nobleProvider,
    random,
    variables,
    warnings,
    txt,
    disk,
    advance: (ms) => time.advance(ms),
    setWallClock(ms) {
      wallAheadMs = ms - time.clock.now()
    },
    environment: {
      random,
      clock: { now: () => time.clock.now() + wallAheadMs, monotonic: () => time.clock.monotonic() },
      timers: time.timers,
    },
    state: options.state ?? memoryState(),
    files: {
      async read(path) {
        const text = texts.get(path)
        return text === undefined ? undefined : { text, mode: 0o600 }
      },
      async create(path, text) {
        if (texts.has(path)) return false
        texts.set(path, text)
        return true
      },
    },
    crc32,
    variable: (name) => variables.get(name) || undefined,
    pathOf: (place) => place.slice('file:'.length),
    async resolveTxt(name) {
      const found = txt.get(name) ?? Object.assign(new Error(`no such name: ${name}`), { code: 'ENOTFOUND' })
      if (found instanceof Error) throw found
      return found
    },
    async openFolder(path) {
      const fs = disk(path)
      return options.wrapDisk ? options.wrapDisk(fs) : fs
    },
    async dial(url, how) {
      if (!options.dial) throw new AteError('SERVER_UNREACHABLE', { url, reason: 'this platform has no network' })
      return options.dial(url, how)
    },
    databases: undefined,
    channel: (name) => options.channel?.(name),
    warn: (error) => void warnings.push(error),
  }
}
