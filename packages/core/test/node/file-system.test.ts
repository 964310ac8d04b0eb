/** The real disk: two processes and one lock, processes killed while they write, a reader beside a live writer. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import type { LogEngine } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { nodeFileSystem } from '../../src/node/file-system.ts'
import { lockBelow, lockFolder } from '../../src/node/folder-lock.ts'
import { codeOf, readAll, testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'

const KILLS = Number(process.env['ATE_KILLS'] ?? 20)
let root = ''
let script = ''
const children = new Set<ChildProcess>()

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ate-node-'))
  script = join(root, 'log-child.mjs')
  const entry = new URL('log-child.ts', import.meta.url).pathname
  await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    outfile: script,
    logLevel: 'error',
  })
})

afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

function start(
  mode: string,
  folder: string,
  seed = 0,
): { readonly child: ChildProcess; readonly lines: AsyncIterator<string> } {
  const child = spawn(process.execPath, [script, mode, folder, String(seed)], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.add(child)
  child.once('exit', () => children.delete(child))
  return { child, lines: createInterface({ input: child.stdout! })[Symbol.asyncIterator]() }
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => child.once('exit', () => resolve()))
}

function open(folder: string, readOnly = false): Promise<LogEngine> {
  const clock = { now: () => Date.now(), monotonic: () => performance.now() }
  const random = { fill: (bytes: Uint8Array) => void randomFillSync(bytes) }
  return openFileLog({ fs: nodeFileSystem(folder), clock, random, create: !readOnly, readOnly, segmentBytes: 40_000 })
}

/** Who holds the lock, as the refusal says it. */
async function holderOf(folder: string): Promise<unknown> {
  return open(folder).then(
    () => 'nobody',
    (error) => isAteError(error) && error.code === 'CHAIN_LOCKED' && error.facts['by'],
  )
}

describe('the lock', () => {
  it('says whether it is this very process that holds it', async () => {
    const folder = join(root, 'whose')
    const { child, lines } = start('hold', folder)
    expect((await lines.next()).value).toBe('open')
    expect(await holderOf(folder)).toBe('another process')
    child.kill('SIGKILL')
    await ended(child)
    for (let i = 0; i < 2; i++) {
      const log = await open(folder)
      expect(await holderOf(folder)).toBe('this process')
      await log.close()
    }
    const tries = await Promise.allSettled([open(folder), holderOf(folder), holderOf(folder)])
    expect(tries.slice(1).map((tried) => tried.status === 'fulfilled' && tried.value)).toEqual([
      'this process',
      'this process',
    ])
    if (tries[0]!.status === 'fulfilled') await tries[0].value.close()
  })

  it('is held by one process, and freed when it is killed', async () => {
    const folder = join(root, 'lock')
    const { child, lines } = start('hold', folder)
    expect((await lines.next()).value).toBe('open')
    expect(await codeOf(() => open(folder))).toBe('CHAIN_LOCKED')
    const second = start('hold', folder)
    expect((await second.lines.next()).value).toBe('CHAIN_LOCKED')
    const reader = await open(folder, true)
    await reader.close()
    child.kill('SIGKILL')
    await ended(child)
    const log = await open(folder)
    expect((await start('hold', folder).lines.next()).value).toBe('CHAIN_LOCKED')
    await log.close()
    const third = start('hold', folder)
    expect((await third.lines.next()).value).toBe('open')
    third.child.stdin!.end()
    await ended(third.child)
    await (await open(folder)).close()
  })

  it('is one for every path to the folder, and in one process too', async () => {
    const folder = join(root, 'paths', 'a'.repeat(100), 'b'.repeat(100))
    const log = await open(folder)
    symlinkSync(folder, join(root, 'link'))
    expect(await codeOf(() => open(join(root, 'link')))).toBe('CHAIN_LOCKED')
    expect(await codeOf(() => open(folder))).toBe('CHAIN_LOCKED')
    await log.close()
    await (await open(join(root, 'link'))).close()
  })

  it('gives one of many who try at once', async () => {
    const folder = join(root, 'race')
    await (await open(folder)).close()
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => open(folder)))
    const winners = tries.filter((tried) => tried.status === 'fulfilled')
    expect(winners.length).toBe(1)
    await winners[0]!.value.close()
  })

  it('of a server stands in the folders of its chains, both ways, and ends with it', async () => {
    const folder = join(root, 'holder')
    const chain = join(folder, 'chain')
    await (await open(chain)).close()
    const { child, lines } = start('below', folder)
    expect((await lines.next()).value).toBe('open')
    expect(await codeOf(() => open(chain))).toBe('CHAIN_LOCKED')
    await (await open(chain, true)).close()
    child.kill('SIGKILL')
    await ended(child)
    // What a dead one has left in the folder is in nobody's way.
    const log = await open(chain)
    const refused = start('below', folder)
    expect((await refused.lines.next()).value).toBe('CHAIN_LOCKED')
    refused.child.kill('SIGKILL')
    await ended(refused.child)
    await log.close()

    const holder = await lockFolder(folder)
    const handles = (): number => readdirSync('/proc/self/fd').length
    const before = process.platform === 'linux' ? handles() : 0
    const first = await lockBelow(chain, folder)
    expect([first === undefined, await lockBelow(chain, folder)]).toEqual([false, undefined])
    if (process.platform === 'linux') expect(handles()).toBe(before)
    await first!.release()
    await first!.release()
    await (await open(chain)).close()
    await holder!.release()
  })

  it('is its own where that of the server cannot stand', async () => {
    const folder = join(root, 'no holder')
    const chain = join(folder, 'chain')
    await (await open(chain)).close()
    const lock = await lockBelow(chain, folder)
    expect(await codeOf(() => open(chain))).toBe('CHAIN_LOCKED')
    await lock!.release()
    await (await open(chain)).close()
  })

  // Whoever is root may ask each socket.
  const mayAskAll = process.platform !== 'linux' || process.getuid?.() === 0
  it.skipIf(mayAskAll)('of another user is no writer that lives, and says whose it is', async () => {
    const folder = join(root, 'of another user')
    await (await open(folder)).close()
    const other = createServer().listen(join(folder, 'LOCK'))
    await once(other, 'listening')
    chmodSync(join(folder, 'LOCK'), 0)
    expect(await codeOf(() => open(folder))).toBe('READ_ONLY')
    other.close()
  })

  it('does not hold the process', async () => {
    const { child, lines } = start('leave', join(root, 'leave'))
    expect((await lines.next()).value).toBe('open')
    await ended(child)
    expect(child.exitCode).toBe(0)
  })

  it('sees a holder in another network namespace by the socket in the folder', async () => {
    if (process.platform !== 'linux') return console.log('only Linux has network namespaces: not run here')
    const folder = join(root, 'namespace')
    await (await open(folder)).close()
    const args = ['--net', process.execPath, script, 'hold', folder, '0']
    const child = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'ignore'] })
    children.add(child)
    const isThere = await new Promise<boolean>((resolve) => {
      child.once('error', () => resolve(false))
      child.stdout.once('data', (data) => resolve(String(data).trim() === 'open'))
      child.once('exit', () => resolve(false))
    })
    if (!isThere) return console.log('no right to make a network namespace: not run here')
    expect(await codeOf(() => open(folder))).toBe('CHAIN_LOCKED')
    child.kill('SIGKILL')
    await ended(child)
    children.delete(child)
    await (await open(folder)).close()
  })
})

describe('a process that is killed while it writes', () => {
  it(
    `loses nothing that it acknowledged, ${KILLS} times`,
    async () => {
      const folder = join(root, 'kills')
      const random = seededRandom(11)
      let acknowledged = 0
      for (let round = 0; round < KILLS; round++) {
        const { child, lines } = start('write', folder, round)
        const first = (await lines.next()).value as string
        expect(first).toMatch(/^head /)
        expect(Number(first.slice(5))).toBeGreaterThanOrEqual(acknowledged)
        for (let acks = 1 + random.below(60); acks > 0; acks--) {
          const line = (await lines.next()).value as string
          acknowledged = Number(line.slice(4))
        }
        child.kill('SIGKILL')
        for (let line = await lines.next(); !line.done; line = await lines.next())
          acknowledged = Number(line.value.slice(4))
        await ended(child)
      }
      const log = await open(folder)
      const records = await readAll(log)
      expect(records.length).toBeGreaterThanOrEqual(acknowledged)
      const expected = testBatch(
        0,
        records.map((_, seq) => seq % 700),
      )
      for (const [seq, record] of records.entries()) {
        if (Buffer.compare(record.bytes, expected[seq]!.bytes) !== 0) throw new Error(`record ${seq} differs`)
      }
      expect(await log.scrub()).toEqual([])
      await log.close()
    },
    Number(process.env['ATE_TEST_TIMEOUT_MS'] ?? 600_000),
  )

  it('is read beside, always a prefix of whole batches', async () => {
    const folder = join(root, 'beside')
    const { child, lines } = start('write', folder, 3)
    await lines.next()
    const reader = await open(folder, true)
    let seen = -1
    for (let looks = 0; looks < 300; looks++) {
      if (looks % 10 === 0) await lines.next()
      const head = await reader.refresh()
      expect(head?.seq ?? -1).toBeGreaterThanOrEqual(seen)
      const from = Math.max(0, seen)
      const records = await readAll(reader, from)
      expect(records.length).toBe((head?.seq ?? -1) + 1 - from)
      for (const { seq, bytes } of records) expect(bytes.length).toBe(seq % 700)
      seen = head?.seq ?? -1
    }
    child.kill('SIGKILL')
    await ended(child)
    expect(seen).toBeGreaterThan(50)
    await reader.close()
  })
})

describe('files', () => {
  it('are for their owner only', async () => {
    if (process.platform === 'win32') return console.log('Windows has no modes: not run here')
    const folder = join(root, 'modes')
    const log = await open(folder)
    await log.append(testBatch(0, [10]), { after: undefined, durability: 'disk', load: 'alone' })
    await log.ring.put(new Uint8Array(32), new Uint8Array(5))
    await log.close()
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(statSync(join(folder, 'ring')).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(folder)) {
      const { mode } = statSync(join(folder, name))
      if (name !== 'ring') expect(mode & 0o777).toBe(0o600)
    }
  })

  it('are not made where the folder may not be written', async () => {
    if (process.getuid?.() === 0) return console.log('root may write everywhere: not run here')
    const folder = join(root, 'refused')
    mkdirSync(folder)
    chmodSync(folder, 0o500)
    expect(await codeOf(() => open(folder))).toBe('READ_ONLY')
    expect(existsSync(join(folder, 'MANIFEST'))).toBe(false)
  })

  it('of a folder that is gone are CHAIN_NOT_FOUND', async () => {
    expect(await codeOf(() => open(join(root, 'nowhere'), true))).toBe('CHAIN_NOT_FOUND')
    expect(existsSync(join(root, 'nowhere'))).toBe(false)
  })
})
