/** `ate worm`: in this process, since processes are slow to start. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { quickPlatform, testWitness } from '@ate/core/testing'
import { CommanderError } from 'commander'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { writeNewFrom } from '../src/new-file.ts'
import { printError } from '../src/output.ts'
import { wormCommand } from '../src/worm/commands.ts'
import { type Machine, newMachine, type Outcome } from './run-ate.ts'

let machine: Machine
const before = { home: process.env['ATE_HOME'], cwd: process.cwd() }
beforeAll(() => {
  machine = newMachine()
  process.env['ATE_HOME'] = join(machine.folder, 'home')
  process.env['ATE_WORM'] = join(machine.folder, 'archive')
  process.chdir(machine.folder)
})
afterAll(() => {
  process.chdir(before.cwd)
  process.env['ATE_HOME'] = before.home
  delete process.env['ATE_WORM']
  machine.remove()
})

async function ate(...args: readonly string[]): Promise<Outcome> {
  const out: Buffer[] = []
  const err: string[] = []
  const catching = [
    vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => out.push(Buffer.from(chunk as string)) > 0),
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => err.push(String(chunk)) > 0),
  ]
  let code = 0
  try {
    process.exitCode = 0
    await wormCommand(() => ({})).parseAsync([...args], { from: 'user' })
    code = Number(process.exitCode)
  } catch (error) {
    if (!(error instanceof CommanderError)) printError(error)
    code = error instanceof CommanderError ? 2 : 1
  } finally {
    process.exitCode = 0
    for (const one of catching) one.mockRestore()
  }
  return { code, stdout: Buffer.concat(out).toString(), stderr: err.join('') }
}

async function done(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await ate(...args)
  expect([args[0], code, stderr]).toEqual([args[0], 0, ''])
  return stdout
}

const json = async (...args: readonly string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await done(...args, '--json')) as Record<string, unknown>

it('puts, gets, lists, holds, disposes of, and tells what was done', async () => {
  writeFileSync('mail.eml', 'Subject: hi')
  const kept = ['--retain', '6y', '--mode', 'compliance', '--meta', '{"a":1}', '--json']
  const { stdout, stderr } = await ate('put', 'mail/1', 'mail.eml', ...kept)
  expect(JSON.parse(stdout)).toMatchObject({ name: 'mail/1', mode: 'compliance', size: '11', meta: { a: 1 } })
  expect(stderr).toContain('can never be disposed of')
  await done('put', 'mail/2', 'mail.eml', '--subject', 'person:42', '--key', 'k')
  expect(await done('get', 'mail/1', '--range', '9-10')).toBe('hi')
  await done('get', 'mail/1', '--out', 'copy.eml')
  expect(readFileSync('copy.eml', 'utf8')).toBe('Subject: hi')
  expect(await ate('get', 'mail/1', '--out', 'copy.eml')).toMatchObject({ code: 1 })
  expect((await done('ls', 'mail/')).trimEnd().split('\n').length).toBe(2)
  expect(await done('ls', '--due')).toContain('mail/2')
  expect(await done('stat', 'mail/1')).toContain('compliance until')
  // Its time is over, and nobody has signed that it is.
  await ate('put', 'mail/0', 'mail.eml', '--retain', '1ms', '--mode', 'compliance')
  expect(await done('dispose', 'mail/0', '--reason', 'r', '--dry-run')).toContain('is kept')
  expect((await ate('dispose', 'mail/0', '--reason', 'r', '--yes')).stderr).toMatch(/^(TIME_UNPROVEN|RETAINED)/)
  await done('hold', 'mail/2', 'SEC-1', '--reason', 'inquiry')
  expect(await done('ls', '--hold', 'SEC-1')).toContain('held: SEC-1')
  expect(await done('dispose', 'mail/2', '--reason', 'r', '--dry-run')).toContain('is kept')
  expect((await ate('dispose', 'mail/2', '--reason', 'r')).code).toBe(2)
  expect((await ate('dispose', 'mail/2', '--reason', 'r', '--yes')).stderr).toMatch(/^RETAINED/)
  expect(await json('erase', 'person:42', '--yes')).toMatchObject({ shredded: 0, blocked: [{ name: 'mail/2' }] })
  await done('release', 'mail/2', 'SEC-1', '--reason', 'settled')
  expect(await done('erase', 'person:42', '--yes')).toBe('1 erased\n')
  await done('extend', 'mail/1', '10y', '--reason', 'longer')
  expect((await ate('extend', 'mail/1', '1y')).stderr).toMatch(/^RETAIN_SHRINKS/)
  const told = (await done('audit')).trimEnd().split('\n')
  expect(told.map((line) => line.split('  ')[3]!.split(' ')[0])).toEqual([
    'put',
    'put',
    'put',
    'hold',
    'release',
    'erase',
    'extend',
  ])
  expect((await done('audit', 'mail/2', '--csv')).split('\n')[0]).toContain('seq,at,by,act')
  expect(await done('fsck', '--deep')).toBe('2 sound, 0 not\n')
  // Of what was mistyped nothing is sound. All of mail/2 is gone, and nothing is wrong with that.
  expect(await done('fsck', 'mail/2')).toBe('0 sound, 0 not\n')
  expect(await done('audit', 'mail/2', '--from', '1000000')).toBe('')
  for (const [args, hint] of [
    [['fsck', 'mial/'], '`ate worm ls`'],
    [['fsck', '--name', 'othre'], '--name one of several'],
    [['audit', 'mial/1'], 'no object of this name'],
    [['audit', 'mial/1', '--csv'], 'no object of this name'],
  ] as const) {
    const mistyped = await ate(...args)
    expect([args, mistyped.code, mistyped.stdout]).toEqual([args, 1, ''])
    expect(mistyped.stderr).toMatch(/^NOT_FOUND: /)
    expect(mistyped.stderr).toContain(hint)
  }
  expect((await ate('put', 'x', 'none.eml')).stderr).toMatch(/^IO_ERROR/)
  expect((await ate('put', 'x', 'mail.eml', '--mode', 'strict')).code).toBe(2)
}, 60_000)

it('proves, names witnesses, and verifies without the chain', async () => {
  writeFileSync('deed.txt', 'a deed')
  const { crypto } = quickPlatform(1)
  const four = ['w1', 'w2', 'w3', 'w4'].map((name) => testWitness(crypto, name))
  expect((await ate('witness')).stderr).toContain('No witnesses')
  const keys = four.map(({ key }) => key)
  const { trust, witnesses } = await json('witness', ...keys)
  expect(witnesses).toMatchObject({ quorum: 3, tolerates: 1 })
  const { origin, log } = trust as { origin: string; log: string }
  await done('put', 'deed', 'deed.txt', '--retain', '1y')
  expect((await ate('prove', 'deed')).stderr).toMatch(/^NO_CHECKPOINT/)
  expect((await ate('checkpoint', '--cosign', 'exit 3')).stderr).toMatch(/^NOT_WITNESSED/)
  // A program that stands for the witnesses: it hands the note on, and waits for their lines.
  const program = 'cat > note.new && mv note.new note && until [ -f lines ]; do sleep 0.02; done; cat lines'
  const cosigned = done('checkpoint', '--cosign', program, '--witness', ...keys)
  while (!existsSync('note')) await new Promise((resolve) => setTimeout(resolve, 20))
  const note = readFileSync('note', 'utf8')
  const at = Date.now()
  writeFileSync(
    'lines.new',
    four
      .slice(0, 3)
      .map((witness) => `${witness.cosign(note, at)}\n`)
      .join(''),
  )
  renameSync('lines.new', 'lines')
  expect((await cosigned).split('\n').filter((line) => line.startsWith('— w')).length).toBe(3)
  expect((await json('witness'))['witnesses']).toMatchObject({
    provenAt: new Date(Math.floor(at / 1000) * 1000).toISOString(),
  })
  await done('prove', 'deed', '--out', 'deed.tlog-proof')
  await done('prove', 'deed', '--witness', ...keys, '--out', 'witnessed.tlog-proof')
  expect(readFileSync('deed.tlog-proof', 'utf8')).toMatch(/^c2sp\.org\/tlog-proof@v1\n/)
  const trusting = ['--origin', origin, '--log', log]
  expect(await done('verify', 'deed.tlog-proof', 'deed.txt', ...trusting)).toMatch(/^ok: record/)
  const strict = await done('verify', 'witnessed.tlog-proof', 'deed.txt', ...trusting, '--witness', ...keys)
  expect(strict).toContain('3 have cosigned')
  writeFileSync('other.txt', 'a deep')
  expect((await ate('verify', 'deed.tlog-proof', 'other.txt', ...trusting)).stderr).toMatch(/^BAD_PROOF/)
  await done('export', 'deed', '--out', 'all.tar')
  expect(existsSync('all.tar')).toBe(true)
}, 60_000)

it('takes no time for another: what Date would guess is refused', async () => {
  writeFileSync('dated.txt', 'dated')
  const guessed = [
    '6',
    '10',
    '2030',
    '2030-02-31',
    '2030-1-5',
    '12/11/2030',
    'retain 6',
    '2030-01-31T10:00',
    '6w',
    '6 y',
    '',
  ]
  for (const retain of guessed) {
    const { code, stderr } = await ate('put', 'dated', 'dated.txt', '--retain', retain)
    expect([retain, code, stderr]).toEqual([retain, 2, expect.stringContaining('is no date')])
  }
  expect((await ate('put', 'dated', 'dated.txt', '--retain', '2001-06-01')).stderr).toContain('is over already')
  expect((await ate('extend', 'mail/1', '31')).code).toBe(2)
  const stored = await json('put', 'dated', 'dated.txt', '--retain', '2096-02-29')
  expect(stored['retainUntil']).toBe('2096-02-29T00:00:00.000Z')
  const zoned = await json('put', 'zoned', 'dated.txt', '--retain', '2096-02-29T23:30+01:00')
  expect(zoned['retainUntil']).toBe('2096-02-29T22:30:00.000Z')
}, 60_000)

it('makes no archive for a file that is not there', async () => {
  mkdirSync('folder')
  for (const [file, reason] of [
    ['none.txt', 'ENOENT'],
    ['folder', 'EISDIR'],
  ] as const) {
    const { code, stderr } = await ate('put', 'x', file, '--at', 'fresh')
    expect([code, stderr]).toEqual([1, expect.stringContaining(`reason: ${reason}`)])
  }
  expect((await ate('ls', '--at', 'fresh')).stderr).toMatch(/^CHAIN_NOT_FOUND/)
  expect((await ate('hold', 'x', 'm', '--at', 'fresh')).stderr).toMatch(/^CHAIN_NOT_FOUND/)
  expect(existsSync('fresh')).toBe(false)
})

it('writes whole files of its own only, and before anything else sees whether it may', async () => {
  symlinkSync('nowhere', 'dangling')
  const sizes = (): number[] =>
    readdirSync('archive', { recursive: true }).map((file) => statSync(join('archive', String(file))).size)
  const before = sizes()
  for (const out of ['copy.eml', 'folder', 'dangling', 'none/x', 'copy.eml/x']) {
    for (const command of [
      ['get', 'mail/1'],
      ['prove', 'deed'],
      ['export', 'deed'],
    ]) {
      const { code, stderr, stdout } = await ate(...command, '--out', out)
      expect([command, out, code, stdout]).toEqual([command, out, 1, ''])
      expect(stderr).toMatch(/^IO_ERROR/)
    }
  }
  expect(readFileSync('copy.eml', 'utf8')).toBe('Subject: hi')
  expect(sizes()).toEqual(before)
  // What breaks off leaves nothing, under no name.
  const files = readdirSync('.')
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(100_000)
    throw new Error('broken off')
  }
  await expect(writeNewFrom('half', broken())).rejects.toThrow('broken off')
  expect(readdirSync('.')).toEqual(files)
  // Somebody makes the file while it is being written.
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1)
    writeFileSync('raced', 'theirs')
  }
  await expect(writeNewFrom('raced', slow())).rejects.toThrow('a file of this name is there already')
  expect(readFileSync('raced', 'utf8')).toBe('theirs')
  await done('get', 'mail/1', '--out', 'own')
  if (process.platform !== 'win32') expect(statSync('own').mode & 0o777).toBe(0o600)
  expect(readdirSync('.').filter((name) => name.endsWith('.part'))).toEqual([])
}, 60_000)

it('gives out nothing of a body that was tampered with under the name of the whole', async () => {
  const body = Buffer.alloc(3_000_000, 'all work and no play ')
  writeFileSync('long.txt', body)
  await done('put', 'long', 'long.txt', '--at', 'hurt')
  const logs = readdirSync('hurt', { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => statSync(file).size > 1_000_000)
  for (const file of logs) {
    const bytes = readFileSync(file)
    bytes[bytes.length - 200_000]! ^= 1
    writeFileSync(file, bytes)
  }
  expect(logs.length).toBeGreaterThan(0)
  const { code } = await ate('get', 'long', '--at', 'hurt', '--out', 'long.copy')
  expect(code).toBe(1)
  expect(existsSync('long.copy')).toBe(false)
}, 60_000)

it('says of what is not as it was put what to do about it', async () => {
  writeFileSync('own.txt', 'of a person')
  await done('put', 'own', 'own.txt', '--subject', 'person:1', '--at', 'keyless')
  await done('put', 'other', 'own.txt', '--at', 'keyless')
  rmSync('keyless/ring', { recursive: true })
  const { code, stdout, stderr } = await ate('fsck', '--deep', '--at', 'keyless')
  expect([code, stdout]).toEqual([1, expect.stringMatching(/^missing: own {2}\w+ {2}KEY_MISSING.*\n1 sound, 1 not\n$/)])
  expect(stderr).toMatch(/^missing: .*`ate restore BACKUP TO`.*\n$/)
  // What was altered is not opened.
  const hurt = await ate('fsck', '--deep', '--at', 'hurt')
  expect([hurt.code, hurt.stdout]).toEqual([1, ''])
  expect(hurt.stderr).toMatch(/^DAMAGED: .*\n.*`ate verify`.*`ate salvage`/)
}, 60_000)

it('takes names and texts of any kind as texts', async () => {
  const names = ['../../etc/passwd', '/abs', 'C:\\x', `${String.fromCharCode(27)}[2J`, '=1+1', 'a\u009b2J']
  for (const name of names) await done('put', name, 'dated.txt', '--at', 'odd')
  const listed = await done('ls', '--at', 'odd')
  const csv = await done('audit', '--csv', '--at', 'odd')
  const lines = await done('ls', '--at', 'odd', '--json')
  for (const text of [listed, csv, lines]) expect(/(?![\r\n])\p{Cc}/u.test(text)).toBe(false)
  expect(
    lines
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { name: string }).name)
      .sort(),
  ).toEqual([...names].sort())
  await done('export', '--at', 'odd', '--no-proofs', '--out', 'odd.tar')
  const tar = readFileSync('odd.tar')
  const paths: string[] = []
  for (let at = 0; at < tar.length && tar[at] !== 0; ) {
    paths.push(tar.toString('latin1', at, at + 100).replace(/\0.*$/s, ''))
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8)
    at += 512 + Math.ceil(size / 512) * 512
  }
  expect(paths.length).toBeGreaterThan(names.length)
  for (const path of paths)
    expect(path).toMatch(/^(README\.txt|trust\.json|(objects\/[0-9a-z]{26}\/|index-|audit-)[\w.-]+)$/)
}, 60_000)

it('asks for witnesses by their keys, not by a number alone', async () => {
  writeFileSync('p', 'x')
  for (const command of [['verify', 'p', 'p', '--origin', 'ate/x', '--log', 'x'], ['prove', 'deed'], ['checkpoint']])
    expect(await ate(...command, '--quorum', '3')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--quorum goes with --witness'),
    })
})
