/** Chains on the real disk with processes of their own: kills, locks, kept certificates, and who holds a process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Chain } from '../../src/data/chain.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { platform } from '../../src/node/platform.ts'
import { nodeState } from '../../src/node/state.ts'
import { openIdentity } from '../../src/session/local-identity.ts'
import type { Platform } from '../../src/session/platform.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { Count, codeOf } from './kit.ts'

const KILLS = Number(process.env['ATE_KILLS'] ?? 10)
const TIMEOUT_MS = Number(process.env['ATE_TEST_TIMEOUT_MS'] ?? 600_000)
let root = ''
let script = ''
let home: Platform
const children = new Set<ChildProcess>()

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ate-data-'))
  script = join(root, 'chain-child.mjs')
  // The machine's state of the children, and of this process where it plays one of them.
  home = Object.create(platform, { state: { value: nodeState(join(root, 'home')) } }) as Platform
  await build({
    entryPoints: [fileURLToPath(new URL('chain-child.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['@ate/source'],
    external: ['cbor-extract'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
    outfile: script,
    logLevel: 'error',
  })
})

afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

const identityFile = (): string => join(root, 'identity')

function start(mode: string, folder: string): { readonly child: ChildProcess; readonly lines: AsyncIterator<string> } {
  const env = { ...process.env, ATE_HOME: join(root, 'home'), NODE_NO_WARNINGS: '1' }
  const child = spawn(process.execPath, [script, mode, folder, identityFile()], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env,
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  return { child, lines: createInterface({ input: child.stdout! })[Symbol.asyncIterator]() }
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => child.once('exit', () => resolve()))
}

async function runToEnd(mode: string, folder: string): Promise<string[]> {
  const { child, lines } = start(mode, folder)
  const said: string[] = []
  for (let line = await lines.next(); !line.done; line = await lines.next()) said.push(line.value)
  await ended(child)
  return said
}

async function openHere(folder: string, options: Parameters<typeof openChain>[1] = {}): Promise<Chain> {
  const as = await openIdentity(identityFile(), { create: true })
  return openChain(`file:${folder}`, { as, ...options }, home)
}

describe('a process that is killed while it writes', () => {
  it(`loses nothing that it acknowledged, ${KILLS} times`, { timeout: TIMEOUT_MS }, async () => {
    const folder = join(root, 'kills')
    const random = seededRandom(5)
    const acknowledged: string[] = []
    const take = (line: string): void => {
      if (line.startsWith('ack ')) acknowledged.push(line.slice(4))
      else expect(line).toBe('open')
    }
    for (let round = 0; round < KILLS; round++) {
      const { child, lines } = start('write', folder)
      for (let count = 1 + random.below(40); count > 0; count--) take((await lines.next()).value as string)
      child.kill('SIGKILL')
      for (let line = await lines.next(); !line.done; line = await lines.next()) take(line.value)
      await ended(child)
    }
    const chain = await openHere(folder)
    const found = new Set<string>()
    for await (const { transactions } of chain.records()) for (const { txId } of transactions) found.add(txId)
    for (const txId of acknowledged) expect(found.has(txId)).toBe(true)
    expect(acknowledged.length).toBeGreaterThan(KILLS)
    // One certificate over all those lives, and the crashed writers' commits are attested by who comes next.
    expect(chain.writers().length).toBe(1)
    await chain.transact((tx) => tx.put(Count, 'last', { n: 1 }))
    expect(chain.stats().attestedSeq).toBe(chain.head.seq)
    const report = await chain.verify()
    expect([report.problems, report.voids]).toEqual([[], 0])
    await chain.close()
  })
})

describe('one-line programs', () => {
  it('take the kept certificate up again, and add it once', async () => {
    const folder = join(root, 'once')
    expect(await runToEnd('once', folder)).toMatchObject({ 0: 'open', 2: 'certificates 1' })
    const first = await openHere(folder, { readOnly: true })
    const { logBytes } = first.stats()
    await first.close()
    expect(await runToEnd('once', folder)).toMatchObject({ 2: 'certificates 1' })
    const chain = await openHere(folder)
    expect(chain.writers().map(({ commits }) => commits)).toEqual([2])
    expect(chain.stats().logBytes - logBytes).toBeLessThan(logBytes)
    await chain.close()
  })

  it('end by themselves, closed or not, and leave a chain that opens', async () => {
    const folder = join(root, 'leave')
    for (const mode of ['leave', 'once', 'watch', 'leave']) {
      const { child, lines } = start(mode, folder)
      for (let line = await lines.next(); !line.done; line = await lines.next()) {
        expect(line.value).toMatch(/^(open|ack .*|certificates 1)$/)
      }
      await ended(child)
      // 13: Node says that the top level was still waiting, which a watch does.
      expect([0, 13]).toContain(child.exitCode)
    }
    const chain = await openHere(folder)
    expect((await chain.verify()).problems).toEqual([])
    expect(chain.writers().length).toBe(1)
    await chain.close()
  })
})

describe('the lock', () => {
  it('lets one write: CHAIN_LOCKED in another process and in this one; readers stand beside it', async () => {
    const folder = join(root, 'lock')
    const { child, lines } = start('hold', folder)
    expect((await lines.next()).value).toBe('open')
    expect(await runToEnd('once', folder)).toEqual(['CHAIN_LOCKED'])
    expect(await codeOf(openHere(folder))).toBe('CHAIN_LOCKED')
    const reader = await openHere(folder, { readOnly: true })
    expect(await codeOf(reader.transact(() => undefined))).toBe('READ_ONLY')
    await reader.close()
    child.stdin!.end()
    await ended(child)
    const chain = await openHere(folder)
    expect(await codeOf(openHere(folder))).toBe('CHAIN_LOCKED')
    await chain.close()
    await (await openHere(folder)).close()
  })

  it('is freed by a kill, and the next one writes under the same certificate', async () => {
    const folder = join(root, 'freed')
    await runToEnd('once', folder)
    const { child, lines } = start('hold', folder)
    expect((await lines.next()).value).toBe('open')
    child.kill('SIGKILL')
    await ended(child)
    expect((await runToEnd('once', folder)).at(-1)).toBe('certificates 1')
  })
})

describe('a reader beside a writer', () => {
  it('sees what was written when it refreshes, and follows it', async () => {
    const folder = join(root, 'beside')
    const { child, lines } = start('write', folder)
    await lines.next()
    await lines.next()
    const reader = await openHere(folder, { readOnly: true })
    let seen = reader.head.seq
    for (let looks = 0; looks < 10; looks++) {
      for (let i = 0; i < 5; i++) await lines.next()
      const count = await reader.refresh()
      expect(reader.head.seq).toBe(seen + count)
      expect(count).toBeGreaterThan(0)
      seen = reader.head.seq
      expect((await reader.named(Count, 'n0'))!.value.n % 7).toBe(0)
    }
    child.kill('SIGKILL')
    await ended(child)
    await reader.close()
  })
})
