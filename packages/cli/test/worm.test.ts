/** `ate worm`: in this process, since processes are slow to start. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { quickPlatform, testWitness } from '@ate/core/testing'
import { CommanderError } from 'commander'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
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
  const stored = await json('put', 'mail/1', 'mail.eml', '--retain', '6y', '--mode', 'compliance', '--meta', '{"a":1}')
  expect(stored).toMatchObject({ name: 'mail/1', mode: 'compliance', size: '11', meta: { a: 1 } })
  await done('put', 'mail/2', 'mail.eml', '--subject', 'person:42', '--key', 'k')
  expect(await done('get', 'mail/1', '--range', '9-10')).toBe('hi')
  await done('get', 'mail/1', '--out', 'copy.eml')
  expect(readFileSync('copy.eml', 'utf8')).toBe('Subject: hi')
  expect(await ate('get', 'mail/1', '--out', 'copy.eml')).toMatchObject({ code: 1 })
  expect((await done('ls', 'mail/')).trimEnd().split('\n').length).toBe(2)
  expect(await done('ls', '--due')).toContain('mail/2')
  expect(await done('stat', 'mail/1')).toContain('compliance until')
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
    'hold',
    'release',
    'erase',
    'extend',
  ])
  expect((await done('audit', 'mail/2', '--csv')).split('\n')[0]).toContain('seq,at,by,act')
  expect(await done('fsck', '--deep')).toBe('1 sound, 0 not\n')
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
  expect((await ate('prove', 'deed')).stderr).toMatch(/^(NO_CHECKPOINT|READ_ONLY)/)
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
