/** Many files behind a few of the system's: the same contract, and what may be closed meanwhile and what may not. */
import { randomFillSync } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { LogEngine } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import { FilePool, openFilesLimit } from '../../src/node/file-pool.ts'
import { nodeFileSystem } from '../../src/node/file-system.ts'
import { logSuite, readAll, testBatch } from '../../src/testing/log-suite.ts'

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-pool-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const clock = { now: () => Date.now(), monotonic: () => performance.now() }
const random = { fill: (bytes: Uint8Array) => void randomFillSync(bytes) }

function below(pool: FilePool, folder: string): FileSystem {
  return pool.folder(nodeFileSystem(folder), folder)
}

describe('the file engine with one file of the system', () => {
  logSuite({ describe, it, expect }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ate-log-'))
    const pool = new FilePool(1)
    return {
      open: (options) =>
        openFileLog({ fs: below(pool, join(folder, 'c')), random, clock, create: !options?.readOnly, ...options }),
      dispose: async () => {
        expect(pool.size).toBe(0)
        rmSync(folder, { recursive: true })
      },
    }
  })
})

describe('a pool', () => {
  it('keeps forty logs in ten files, and each is as it would be alone', async () => {
    const pool = new FilePool(10)
    const logs: LogEngine[] = []
    for (let i = 0; i < 40; i++)
      logs.push(await openFileLog({ fs: below(pool, join(root, String(i))), random, clock, create: true }))
    for (let round = 0; round < 2; round++) {
      for (const log of logs) {
        const batch = testBatch(3 * round, [100, 200, 300])
        await log.append(batch, { after: log.head(), durability: 'disk', load: 'alone' })
        expect(pool.size).toBeLessThanOrEqual(10)
      }
    }
    for (const log of logs) {
      expect((await readAll(log)).map(({ bytes }) => bytes.length)).toEqual([100, 200, 300, 100, 200, 300])
      expect(await log.scrub()).toEqual([])
      expect(pool.size).toBeLessThanOrEqual(10)
    }
    for (const log of logs) await log.close()
    expect(pool.size).toBe(0)
  })

  it('lets go of no file with bytes that were not synced', async () => {
    const pool = new FilePool(2)
    const fs = below(pool, root)
    const files = ['a', 'b', 'c', 'd'].map((name) => fs.open(name, 'create'))
    for (const file of files) file.write([new Uint8Array(10)], 0)
    expect(pool.size).toBe(4)
    files[0]!.syncNow()
    const syncing = files[1]!.sync()
    // It is held while it runs, also when others come.
    const more = ['e', 'f'].map((name) => fs.open(name, 'create'))
    expect(pool.size).toBe(4)
    await syncing
    fs.open('k', 'create').close()
    expect(pool.size).toBeLessThanOrEqual(4)
    // So is one that is being written to.
    files[1]!.syncNow()
    const writing = files[1]!.writeLater([new Uint8Array(10)], 0)
    fs.open('g', 'create').close()
    expect(await writing).toBe(10)
    files[1]!.syncNow()
    // A change while a sync ran is not in it.
    const late = files[2]!.sync()
    files[2]!.write([new Uint8Array(1)], 0)
    await late
    for (const name of ['h', 'i', 'j']) fs.open(name, 'create').close()
    expect(pool.size).toBe(2)
    for (const file of [...files, ...more]) {
      expect(file.size()).toBeLessThanOrEqual(10)
      file.close()
    }
    expect(pool.size).toBe(0)
  })

  it('gives who has a file open its bytes when another takes its name, or it goes', () => {
    const pool = new FilePool(1)
    const fs = below(pool, root)
    writeFileSync(join(root, 'old'), 'old')
    writeFileSync(join(root, 'gone'), 'gone')
    writeFileSync(join(root, 'new'), 'new')
    const [old, gone, fresh] = ['old', 'gone', 'new'].map((name) => fs.open(name, 'read'))
    fs.rename('new', 'old')
    fs.remove('gone')
    const text = (file: typeof old): string => {
      const bytes = new Uint8Array(10)
      return Buffer.from(bytes.subarray(0, file!.read(bytes, 0))).toString()
    }
    expect([text(old), text(gone), text(fresh)]).toEqual(['old', 'gone', 'new'])
    const again = fs.open('old', 'read')
    expect(text(again)).toBe('new')
    for (const file of [old, gone, fresh, again]) file!.close()
    expect(pool.size).toBe(0)
    expect(() => old!.size()).toThrow('closed')
  })

  it('takes no other file for one that it let go of', () => {
    const pool = new FilePool(1)
    const fs = below(pool, root)
    writeFileSync(join(root, 'a'), 'a')
    writeFileSync(join(root, 'b'), 'b')
    const a = fs.open('a', 'read')
    const b = fs.open('b', 'read')
    // Behind its back.
    renameSync(join(root, 'b'), join(root, 'a'))
    expect(() => a.size()).toThrow('another file')
    expect(b.size()).toBe(1)
  })
})

it('the system tells how many files there may be, on Linux', () => {
  if (process.platform === 'linux') expect(openFilesLimit()).toBeGreaterThan(100)
  else expect(openFilesLimit()).toBe(undefined)
})
