/** Shared by the tests of backups, moves, salvage and recovery: a chain with some history, and what a copy must be. */
import { toHex } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { readAll } from '../../src/testing/log-suite.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { Count, coreOf, Note, open, person } from './kit.ts'

export const NAME: Uint8Array = new Uint8Array(32).fill(0xa5)
export const WRAPPED: Uint8Array = Uint8Array.from({ length: 48 }, (_, i) => 200 - i)

/** A chain of alice with `count` notes, a key in its ring, closed; its id. */
export async function makeChain(platform: TestPlatform, at = 'file:/chain', count = 5): Promise<string> {
  const chain = await open(at, { as: person('alice') }, platform)
  await coreOf(chain).engine.ring.put(NAME, WRAPPED)
  await write(chain, count)
  await chain.close()
  return chain.id
}

export async function write(chain: Chain, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await chain.transact((tx) => tx.create(Note, { text: `note ${i}` }))
}

/** Texts of all notes, read by alice, who changes nothing there. */
export async function notesAt(at: string, platform: TestPlatform): Promise<string[]> {
  const chain = await open(at, { as: person('alice'), readOnly: true }, platform)
  try {
    return await notesOf(chain)
  } finally {
    await chain.close()
  }
}

export async function notesOf(chain: Chain): Promise<string[]> {
  const texts: string[] = []
  for await (const note of chain.children(Note)) texts.push(note.value.text)
  return texts
}

/** What a writer is told at `at`, or `written` if it can write; nothing is left open. */
export async function writingAt(at: string, platform: TestPlatform, who = 'alice'): Promise<string> {
  try {
    const chain = await open(at, { as: person(who), create: false }, platform)
    try {
      await chain.transact((tx) => tx.create(Count, { n: 1 }))
    } finally {
      await chain.close()
    }
    return 'written'
  } catch (error) {
    if (isAteError(error)) return error.code
    throw error
  }
}

/** What a reader is told at `at`, or `read`. */
export async function readingAt(at: string, platform: TestPlatform): Promise<string> {
  try {
    await notesAt(at, platform)
    return 'read'
  } catch (error) {
    if (isAteError(error)) return error.code
    throw error
  }
}

/** Records of the log in a folder, as text, whatever its standing is. */
export async function recordsAt(path: string, platform: TestPlatform): Promise<string[]> {
  const { random, clock } = platform.environment
  const standings = ['live', 'copy', 'backup', 'moved', 'incomplete'] as const
  const log = await openFileLog({ fs: platform.disk(path), random, clock, readOnly: true, standings })
  try {
    return (await readAll(log)).map(({ hash, bytes }) => `${toHex(hash)} ${toHex(bytes)}`)
  } finally {
    await log.close()
  }
}

/** The files of a disk with their bytes. */
export function filesOf(path: string, platform: TestPlatform): ReadonlyMap<string, string> {
  const fs = platform.disk(path)
  return new Map(fs.files().map((name) => [name, toHex(fs.peek(name))]))
}

/** The process and the machine of every disk die; unsynced state is decided. */
export function crashAll(platform: TestPlatform, paths: readonly string[]): void {
  for (const path of paths) platform.disk(path).crash()
}
