// Every state store: one suite for the one in memory and the one on disk; then what only files have.
import { type ChildProcess, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { nodeState, stateLocation } from '../../src/node/state.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { codeOf } from './fixtures.ts'
import { stateSuite } from './state-suite.ts'

const root = fs.mkdtempSync(join(tmpdir(), 'ate-state-'))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))
let count = 0
const freshFolder = (): string => join(root, `s${count++}`)
const posix = process.platform !== 'win32'

for (const [kind, open] of [
  ['memory', () => memoryState()],
  ['files', () => nodeState(freshFolder())],
] as const) {
  describe(`state in ${kind}`, () => stateSuite({ describe, it, expect }, open))
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
