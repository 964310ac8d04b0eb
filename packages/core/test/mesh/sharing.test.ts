/** Several processes on one folder: one leads, another takes over, and nothing that was acknowledged is lost. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import type { EntityRef } from '../../src/data/entity.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { verifyPlace } from '../../src/data/verify-place.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { joinProcesses } from '../../src/node/sharing.ts'
import { nodeState } from '../../src/node/state.ts'
import { openIdentity } from '../../src/session/local-identity.ts'
import type { Platform } from '../../src/session/platform.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { codeOf } from '../data/kit.ts'
import { machine, someone } from './net-kit.ts'

const KILLS = Math.min(200, Number(process.env['ATE_KILLS'] ?? 3))
const Mark = defineType<{ by: string; n: number }>('mark')
let root = ''
let script = ''
let folders = 0
const children = new Set<ChildProcess>()

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ate-share-'))
  script = join(root, 'share-child.mjs')
  await build({
    entryPoints: [fileURLToPath(new URL('share-child.ts', import.meta.url))],
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

const newFolder = (): string => join(root, `chain-${++folders}`)

interface Writer {
  readonly name: string
  readonly child: ChildProcess
  readonly acknowledged: Set<number>
  readonly other: string[]
  said(line: string): Promise<void>
  readonly gone: Promise<void>
}

function startWriter(folder: string, name: string): Writer {
  const env = { ...process.env, ATE_HOME: join(root, 'home'), NODE_NO_WARNINGS: '1' }
  const child = spawn(process.execPath, [script, folder, join(root, 'identity'), name], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env,
  })
  children.add(child)
  const acknowledged = new Set<number>()
  const other: string[] = []
  const waiting: { readonly line: string; resolve(): void }[] = []
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const [word, n] = line.split(' ')
    if (word === 'ack') acknowledged.add(Number(n))
    else other.push(line)
    for (const one of waiting) if (one.line === line || (one.line === 'more' && word === 'ack')) one.resolve()
  })
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()))
  void gone.then(() => children.delete(child))
  return {
    name,
    child,
    acknowledged,
    other,
    gone,
    said: (line) => {
      if (line !== 'more' && other.includes(line)) return Promise.resolve()
      const here = new Promise<void>((resolve) => waiting.push({ line, resolve }))
      return Promise.race([here, gone.then(() => Promise.reject(new Error(`${name} ended: ${other.join(', ')}`)))])
    },
  }
}

/** How often each mark is in the chain. */
async function countMarks(chain: Chain, below?: EntityRef): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for await (const { value } of chain.children(Mark, below)) {
    const key = `${value.by} ${value.n}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

describe('processes on one folder', () => {
  it('are killed under load, the leader too: what was acknowledged is there once', async () => {
    const folder = newFolder()
    await openIdentity(join(root, 'identity'), { create: true })
    const random = seededRandom(KILLS)
    const all: Writer[] = []
    const live: Writer[] = []
    const add = async (): Promise<void> => {
      const writer = startWriter(folder, `w${all.length}`)
      all.push(writer)
      live.push(writer)
      await writer.said('open')
    }
    for (let i = 0; i < 3; i++) await add()
    for (let i = 0; i < KILLS; i++) {
      await Promise.all(live.map((writer) => writer.said('more')))
      // The first one leads, at first; then it is anyone.
      const [victim] = live.splice(i === 0 ? 0 : random.below(live.length), 1)
      victim!.child.kill('SIGKILL')
      await victim!.gone
      await Promise.all(live.map((writer) => writer.said('more')))
      await add()
    }
    for (const { child } of live) child.stdin!.end()
    await Promise.all(live.map(({ gone }) => gone))
    for (const { child, other } of live) {
      expect(child.exitCode).toBe(0)
      expect(other).toEqual(['open', 'closed'])
    }
    expect(existsSync(join(folder, 'SHARE'))).toBe(false)
    const as = await openIdentity(join(root, 'identity'))
    const here = Object.create(machine(), { state: { value: nodeState(join(root, 'home')) } }) as Platform
    await using chain = await openChain(`file:${folder}`, { as, readOnly: true }, here)
    const counts = await countMarks(chain)
    for (const { name, acknowledged } of all)
      for (const n of acknowledged) expect(counts.get(`${name} ${n}`), `${name} ${n}`).toBe(1)
    for (const [key, count] of counts) expect(count, key).toBe(1)
    expect(all.every(({ acknowledged }) => acknowledged.size > 0)).toBe(true)
  })
})

describe('those who share', () => {
  it('see one chain, and go on when the leader closes', async () => {
    const at = `file:${newFolder()}`
    const as = someone()
    const a = await openChain(at, { as, share: true }, machine())
    const b = await openChain(at, { as, share: true, id: a.id }, machine())
    const c = await openChain(at, { as, share: true, id: a.id }, machine())
    const under = Array.from({ length: 90 }, (_, n) =>
      [a, b, c][n % 3]!.transact((tx) => tx.create(Mark, { by: 'all', n })),
    )
    await Promise.all(under)
    // What is under way when the leader closes is written by the next one.
    const late = Array.from({ length: 60 }, (_, n) =>
      [b, c][n % 2]!.transact((tx) => tx.create(Mark, { by: 'late', n })),
    )
    await a.close()
    await Promise.all(late)
    await b.close()
    await c.transact((tx) => tx.create(Mark, { by: 'last', n: 0 }))
    const counts = await countMarks(c)
    expect(counts.size).toBe(151)
    expect([...counts.values()].every((count) => count === 1)).toBe(true)
    await c.close()
    await using alone = await openChain(at, { as, id: a.id }, machine())
    expect((await countMarks(alone)).size).toBe(151)
  })

  it('keep keys in the ring of the folder, whoever leads', async () => {
    const folder = newFolder()
    const at = `file:${folder}`
    const as = someone()
    const ring = (): Uint8Array[] => {
      const bytes = readFileSync(join(folder, 'ring', '000000.slots'))
      const slots = Array.from({ length: bytes.length / 512 }, (_, i) => bytes.subarray(i * 512, (i + 1) * 512))
      return slots.filter((slot) => slot.some((byte) => byte !== 0))
    }
    const a = await openChain(at, { as, share: true }, machine())
    const b = await openChain(at, { as, share: true, id: a.id }, machine())
    const key = new Uint8Array(32).fill(5)
    const [one, two] = await b.transact((tx) =>
      [1, 2].map((n) => {
        const { id } = tx.create(Mark, { by: 'b', n })
        tx.attachKey(id, key)
        return id
      }),
    )
    expect([a.attachedKeys, ring().length]).toEqual(['open', 2])
    expect(await a.attachedKey(one!)).toEqual(key)
    await a.transact((tx) => tx.shred(one!))
    expect([await b.attachedKey(one!), ring().length]).toEqual([undefined, 1])
    await a.close()
    await b.transact((tx) => tx.create(Mark, { by: 'b', n: 3 }))
    expect(await b.attachedKey(two!)).toEqual(key)
    // Who reads beside has the folder, and with it the ring.
    await using reader = await openChain(at, { as, id: a.id, readOnly: true, share: true }, machine())
    expect(await reader.attachedKey(two!)).toEqual(key)
    expect(await codeOf(b.backup(`file:${newFolder()}`))).toBe('KEYS_UNAVAILABLE')
    expect(await reader.backup(`file:${newFolder()}`)).toMatchObject({ keys: 1 })
    await b.transact((tx) => tx.delete(two!))
    expect(ring()).toEqual([])
    await b.close()
  })

  it('are read and verified beside', async () => {
    const at = `file:${newFolder()}`
    const as = someone()
    await using writer = await openChain(at, { as, share: true }, machine())
    await writer.transact((tx) => tx.create(Mark, { by: 'a', n: 1 }))
    for (const share of [false, true]) {
      await using reader = await openChain(at, { as, id: writer.id, readOnly: true, share }, machine())
      expect((await countMarks(reader)).size).toBe(1 + Number(share))
      await writer.transact((tx) => tx.create(Mark, { by: 'a', n: 2 + Number(share) }))
      await reader.refresh()
      expect((await countMarks(reader)).size).toBe(2 + Number(share))
      await using again = await openChain(at, { as, id: writer.id, readOnly: true, share }, machine())
      expect((await countMarks(again)).size).toBe(2 + Number(share))
    }
    expect((await verifyPlace(at, { id: writer.id }, machine())).records).toBeGreaterThan(1)
    expect((await writer.verify()).records).toBeGreaterThan(1)
  })

  it('are members of the chain: another identity joins by being let in, and a stranger does not', async () => {
    const at = `file:${newFolder()}`
    const [owner, member, stranger] = [someone(), someone(), someone()]
    const a = await openChain(at, { as: owner, share: true }, machine())
    const id = a.id
    expect(await codeOf(openChain(at, { as: member, share: true, id }, machine()))).toBe('NOT_AUTHORIZED')
    const names = [owner.publicId, member.publicId]
    const room = await a.transact((tx) => tx.create(Mark, { by: 'room', n: 0 }, { read: names, write: names }))
    const b = await openChain(at, { as: member, share: true, id }, machine())
    await b.transact((tx) => tx.create(Mark, { by: 'b', n: 1 }, { parent: room.id }))
    await a.close()
    // Ordered under the member's name now.
    await b.transact((tx) => tx.create(Mark, { by: 'b', n: 2 }, { parent: room.id }))
    expect(await codeOf(openChain(at, { as: stranger, share: true, id }, machine()))).toBe('NOT_AUTHORIZED')
    await b.close()
    // Nobody else is there to lead.
    expect(await codeOf(openChain(at, { as: stranger, share: true, id }, machine()))).toBe('NOT_AUTHORIZED')
    await using again = await openChain(at, { as: owner, share: true, id }, machine())
    expect((await countMarks(again, room.id)).size).toBe(2)
  })

  it('are asked which chain they mean where others made it, and who is none of it is told what to do', async () => {
    const folder = newFolder()
    const at = `file:${folder}`
    const [owner, stranger] = [someone(), someone()]
    const shared = await openChain(at, { as: owner, share: true }, machine())
    const { id } = shared
    const opened = (options: object): Promise<unknown> =>
      openChain(at, { as: stranger, share: true, ...options }, machine()).catch((thrown) => thrown)
    for (const isLed of [true, false]) {
      if (!isLed) await shared.close()
      expect(await opened({}), `led: ${isLed}`).toMatchObject({ code: 'NOT_PINNED', facts: { chain: id, place: at } })
      const refused = await opened({ id })
      expect(refused).toMatchObject({ code: 'NOT_AUTHORIZED', facts: { identity: stranger.fingerprint } })
      expect(String(refused)).toContain('ATE_HOME')
      expect(String(refused)).toContain('{ readOnly: true }')
    }
    await using reader = await openChain(at, { as: stranger, share: true, id, readOnly: true }, machine())
    expect(reader.id).toBe(id)
  })

  it('say so all of them: who does not finds the chain locked, and is told how to share it', async () => {
    const at = `file:${newFolder()}`
    const as = someone()
    const shared = await openChain(at, { as, share: true }, machine())
    const error: unknown = await openChain(at, { as, id: shared.id }, machine()).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'CHAIN_LOCKED' })
    expect(String(error)).toContain('{ share: true }')
    expect(String(error)).toContain('keep it on globalThis')
    await shared.close()
    await using alone = await openChain(at, { as, id: shared.id }, machine())
    expect(await codeOf(openChain(at, { as, id: alone.id, share: true }, machine()))).toBe('CHAIN_LOCKED')
  })

  it('do not take time in which they could not run for time in which nobody came', async () => {
    const folder = newFolder()
    mkdirSync(folder)
    let tries = 0
    const sharing = await joinProcesses({
      name: folder,
      lead: async () => {
        if (++tries > 1) return { accept: (socket) => socket.close(1000, ''), close: async () => undefined }
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
        throw new AteError('CHAIN_LOCKED')
      },
    })
    await sharing.dial({ timeout: 100 })
    expect(tries).toBe(2)
    await sharing.close()
  })

  it('do not mind a socket that is left, and find one that nobody else may open', async () => {
    const folder = newFolder()
    const as = someone()
    const first = await openChain(`file:${folder}`, { as, share: true }, machine())
    expect(statSync(join(folder, 'SHARE')).mode & 0o777).toBe(0o600)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    await first.close()
    const killed = createServer().listen(join(folder, 'SHARE'))
    await new Promise((resolve) => killed.once('listening', resolve))
    await new Promise<void>((resolve) => {
      renameSync(join(folder, 'SHARE'), join(folder, 'SHARE.kept'))
      killed.close(() => {
        renameSync(join(folder, 'SHARE.kept'), join(folder, 'SHARE'))
        resolve()
      })
    })
    await using again = await openChain(`file:${folder}`, { as, share: true, id: first.id }, machine())
    await again.transact((tx) => tx.create(Mark, { by: 'a', n: 1 }))
  })

  it.each([
    ['memory:', { share: true }],
    ['ws://127.0.0.1:1/db/notes', { share: true }],
    ['file:/nowhere', { share: true, replica: 'memory:' }],
    ['file:/nowhere', { share: true, serverKey: 'x' }],
    ['file:/nowhere', { share: true, pq: 'required' }],
    ['file:/nowhere', { share: 'yes' }],
  ])('is for files, and without what is of servers: %s %o', async (at, options) => {
    expect(await codeOf(openChain(at, { as: someone(), ...options } as never, machine()))).toBe('BAD_ARGUMENT')
  })

  it('is not made where there is none, unless it is asked for', async () => {
    const at = `file:${newFolder()}`
    const as = someone()
    expect(await codeOf(openChain(at, { as, share: true, create: false }, machine()))).toBe('CHAIN_NOT_FOUND')
    expect(existsSync(at.slice('file:'.length))).toBe(false)
  })
})
