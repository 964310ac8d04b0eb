// Every state store: one suite for the one in memory and the one on disk; then what only files have.
import { type ChildProcess, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from '../../src/base/bytes.ts'
import { nodeState, stateLocation } from '../../src/node/state.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import type { StateStore } from '../../src/session/state-store.ts'
import { codeOf } from './fixtures.ts'

const root = fs.mkdtempSync(join(tmpdir(), 'ate-state-'))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))
let count = 0
const freshFolder = (): string => join(root, `s${count++}`)
const posix = process.platform !== 'win32'

for (const [kind, open] of [
  ['memory', () => memoryState()],
  ['files', () => nodeState(freshFolder())],
] as const) {
  describe(`state in ${kind}`, () => {
    let state: StateStore
    beforeEach(() => {
      state = open()
    })

    it('keeps, replaces, removes and lists', async () => {
      expect(await state.get('identity')).toBeUndefined()
      expect(await state.list('heads/')).toEqual([])
      await state.put('identity', utf8('one'))
      await state.put('identity', utf8('two'))
      await state.put('heads/b/2', utf8('b2'))
      await state.put('heads/a/1', utf8('a1'))
      await state.put('heads/b/1', utf8(''))
      expect(fromUtf8((await state.get('identity'))!)).toBe('two')
      expect(await state.get('heads/b/1')).toEqual(new Uint8Array())
      expect(await state.list('heads/')).toEqual(['heads/a/1', 'heads/b/1', 'heads/b/2'])
      expect(await state.list('heads/b/')).toEqual(['heads/b/1', 'heads/b/2'])
      await state.remove('heads/b/1')
      await state.remove('heads/b/1')
      await state.remove('heads/none/1')
      expect(await state.list('heads/b/')).toEqual(['heads/b/2'])
    })

    it('shares no memory with its callers', async () => {
      const given = Uint8Array.of(1, 2, 3)
      await state.put('identity', given)
      given.fill(9)
      ;(await state.get('identity'))!.fill(8)
      expect(await state.get('identity')).toEqual(Uint8Array.of(1, 2, 3))
    })

    it('takes no name that leads elsewhere', async () => {
      for (const name of [
        '',
        '/etc/x',
        '../x',
        'a/../b',
        'a//b',
        'a/',
        '.hidden',
        'a/.b',
        'A',
        'a\\b',
        'a b',
        'a\0',
        'a/b/c/d/e',
        'x'.repeat(201),
      ]) {
        expect(await codeOf(() => state.get(name))).toBe('INTERNAL')
        expect(await codeOf(() => state.put(name, utf8('x')))).toBe('INTERNAL')
        expect(await codeOf(() => state.remove(name))).toBe('INTERNAL')
        expect(await codeOf(() => state.lock(name))).toBe('INTERNAL')
      }
      for (const prefix of ['', '/', 'heads', '../', 'heads//'])
        expect(await codeOf(() => state.list(prefix))).toBe('INTERNAL')
    })

    it('locks a name for one holder, who may let go twice', async () => {
      const first = (await state.lock('known-chains'))!
      expect(first).toBeDefined()
      expect(await state.lock('known-chains')).toBeUndefined()
      const other = (await state.lock('identity'))!
      expect(other).toBeDefined()
      const waiting = state.lock('known-chains', { waitMs: 10_000 })
      await first.release()
      const second = (await waiting)!
      expect(second).toBeDefined()
      await first.release()
      expect(await state.lock('known-chains')).toBeUndefined()
      await second.release()
      await other.release()
      const third = await state.lock('known-chains')
      expect(third).toBeDefined()
      await third!.release()
    })

    it('hands a lock to one after the other of many that wait', async () => {
      let inside = 0
      let most = 0
      const work = Array.from({ length: 8 }, async () => {
        const lock = (await state.lock('known-chains', { waitMs: 20_000 }))!
        most = Math.max(most, ++inside)
        await new Promise((resume) => setTimeout(resume, 2))
        inside--
        await lock.release()
      })
      await Promise.all(work)
      expect(most).toBe(1)
    })
  })
}

describe('state in files', () => {
  const modeOf = (path: string): number => fs.statSync(path).mode & 0o777

  it('makes nothing before something is written, then closes it to others', async () => {
    const folder = join(freshFolder(), 'deep', 'ate')
    const state = nodeState(folder)
    await state.get('identity')
    await state.list('heads/')
    await state.remove('identity')
    expect(fs.existsSync(folder)).toBe(false)
    const before = process.umask(0)
    try {
      await state.put('heads/x/1', utf8('x'))
    } finally {
      process.umask(before)
    }
    if (!posix) return
    expect(modeOf(folder)).toBe(0o700)
    expect(modeOf(join(folder, 'heads'))).toBe(0o700)
    expect(modeOf(join(folder, 'heads', 'x', '1'))).toBe(0o600)
    expect(fs.readdirSync(join(folder, 'heads', 'x'))).toEqual(['1'])
  })

  it.runIf(posix)('refuses a secret that others can read, and anything that others can write', async () => {
    const folder = freshFolder()
    const state = nodeState(folder)
    for (const name of ['identity', 'certificates/a-b', 'known-chains', 'heads/a/1']) await state.put(name, utf8('x'))
    for (const [name, mode, code] of [
      ['identity', 0o640, 'INSECURE_FILE'],
      ['identity', 0o604, 'INSECURE_FILE'],
      ['certificates/a-b', 0o644, 'INSECURE_FILE'],
      ['known-chains', 0o644, 'nothing was thrown'],
      ['known-chains', 0o664, 'INSECURE_FILE'],
      ['heads/a/1', 0o644, 'nothing was thrown'],
      ['heads/a/1', 0o602, 'INSECURE_FILE'],
    ] as const) {
      fs.chmodSync(join(folder, ...name.split('/')), mode)
      expect(await codeOf(() => state.get(name))).toBe(code)
    }
    fs.chmodSync(folder, 0o770)
    expect(await codeOf(() => state.put('identity', utf8('y')))).toBe('INSECURE_FILE')
    fs.chmodSync(folder, 0o755)
    expect(await codeOf(() => state.put('identity', utf8('y')))).toBe('nothing was thrown')
  })

  it('says that it cannot be written, and where', async () => {
    const file = freshFolder()
    fs.writeFileSync(file, 'a file, no folder')
    const state = nodeState(join(file, 'ate'))
    expect(await state.get('identity')).toBeUndefined()
    await expect(state.put('identity', utf8('x'))).rejects.toThrow(/^STATE_UNWRITABLE.*ATE_HOME.*ENOTDIR/)
    expect(await codeOf(() => state.lock('identity'))).toBe('STATE_UNWRITABLE')
    fs.mkdirSync(`${file}-b`)
    fs.mkdirSync(join(`${file}-b`, 'identity'))
    expect(await codeOf(() => nodeState(`${file}-b`).put('identity', utf8('x')))).toBe('STATE_UNWRITABLE')
    expect(fs.readdirSync(`${file}-b`)).toEqual(['identity'])
  })

  it('does not list what a crash left half written, and refuses what is too large', async () => {
    const folder = freshFolder()
    const state = nodeState(folder)
    await state.put('heads/a/1', utf8('x'))
    fs.writeFileSync(join(folder, 'heads', 'a', '.2.0011'), 'half')
    expect(await state.list('heads/')).toEqual(['heads/a/1'])
    fs.truncateSync(join(folder, 'heads', 'a', '1'), 2 ** 30)
    expect(await codeOf(() => state.get('heads/a/1'))).toBe('STATE_UNWRITABLE')
  })

  it('frees the lock of a process that dies', async () => {
    const folder = freshFolder()
    const state = nodeState(folder)
    const holder = await startHolder(folder)
    expect(await state.lock('identity')).toBeUndefined()
    holder.kill('SIGKILL')
    const lock = await state.lock('identity', { waitMs: 10_000 })
    expect(lock).toBeDefined()
    await lock!.release()
  })

  it('is where the environment says, else where the system keeps state', () => {
    const at = (variables: Record<string, string>, platform = 'linux') =>
      stateLocation({ variables, platform, home: '/home/me' })
    expect(at({ ATE_HOME: '/data/ate', XDG_STATE_HOME: '/xdg' })).toBe('/data/ate')
    expect(at({ ATE_HOME: 'here' })).toBe(join(process.cwd(), 'here'))
    expect(at({ XDG_STATE_HOME: '/xdg' })).toBe('/xdg/ate')
    expect(at({ XDG_STATE_HOME: 'relative', ATE_HOME: '' })).toBe('/home/me/.local/state/ate')
    expect(at({}, 'darwin')).toBe('/home/me/Library/Application Support/ate')
    expect(at({ LOCALAPPDATA: '/C/Local' }, 'win32')).toBe('/C/Local/ate')
  })
})

/** Another process that holds the lock `identity` until it is killed. It runs the sources through vite's own loader. */
async function startHolder(folder: string): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('./lock-holder.mjs', import.meta.url))
  const child = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    child.stdout!.once('data', () => resolve())
    child.once('exit', (code) => reject(new Error(`the holder ended with ${code}`)))
  })
  return child
}
