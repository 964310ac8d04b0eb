/**
 * The command as a process: what it prints, where, and its exit codes.
 * @newest-node-only: runs the TypeScript sources
 */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createIdentity, defineType, openChain, openIdentity, saveIdentity } from '@ate/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Machine, newMachine } from './run-ate.ts'

const Note = defineType<{ text: string }>('note')

let machine: Machine
let chainId: string

/** A chain of alice: a note, its change, and a note for her alone; bob may read the first. */
beforeAll(async () => {
  machine = newMachine()
  const { folder } = machine
  const [alice, bob] = [await createIdentity(), await createIdentity()]
  await saveIdentity(alice, join(folder, 'alice.id'))
  await saveIdentity(bob, join(folder, 'bob.id'), { passphrase: 'open sesame' })
  const chain = await openChain(`file:${join(folder, 'notes')}`, { as: alice })
  chainId = chain.id
  const note = await chain.transact((tx) => tx.create(Note, { text: 'milk' }, { name: 'list', read: [alice, bob] }))
  await chain.transact((tx) => tx.update(note, () => ({ text: 'bread\u001b[31m' })))
  await chain.transact((tx) => tx.create(Note, { text: 'for me alone' }))
  await chain.close()
})
afterAll(() => machine.remove())

describe('arguments', () => {
  it.each([
    [[]],
    [['dump']],
    [['vrify', 'x']],
    [['dump', 'x', '--from', '-1']],
    [['verify', 'x', 'y']],
    [['ls', '--no-such']],
  ])('%j is a mistake: exit code 2, nothing on stdout', async (args) => {
    const { code, stdout, stderr } = await machine.quick(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).not.toBe('')
  })

  it.each([
    [['--help']],
    [['dump', '--help']],
    [['doctor', '--help']],
    [['stats', '--help']],
    [['verify', '-h']],
    [['id', '--help']],
    [['ls', '--help']],
  ])('%j helps', async (args) => {
    const { code, stdout } = await machine.quick(args)
    expect(code).toBe(0)
    expect(stdout).toContain('Usage: ate')
  })

  it('a mistake and help as a process', async () => {
    expect(await machine.run([])).toMatchObject({ code: 2, stdout: '' })
    expect(await machine.run(['--help'])).toMatchObject({ code: 0, stdout: expect.stringContaining('Usage: ate') })
  })

  it('--version prints the version of the package', async () => {
    const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8'))
    expect((await machine.run(['--version'])).stdout).toBe(`${manifest.version}\n`)
  })
})

describe('ate dump', () => {
  it('shows records, transactions and events, and opens what this identity can read', async () => {
    const { code, stdout } = await machine.run(['dump', 'notes', '--as', 'alice.id'])
    expect(code).toBe(0)
    expect(stdout).toContain(`chain ${chainId}\n`)
    expect(stdout).toMatch(/^#0 genesis /m)
    expect(stdout).toMatch(/^#1 commit .*, attested /m)
    expect(stdout).toMatch(/create note \S+ named "list" in the root\/note/)
    expect(stdout).toContain("value: { text: 'milk' }")
    expect(stdout).toContain("value: { text: 'for me alone' }")
    expect(stdout).toMatch(/put note \S+ named "list", version 2/)
    expect(stdout).toMatch(/^#\d+ attestation /m)
  })

  it('cannot be made to steer the terminal', async () => {
    const { stdout } = await machine.quick(['dump', 'notes', '--as', 'alice.id'])
    expect(stdout).toContain('bread')
    expect(stdout).not.toContain('\u001b')
  })

  it('shows `sealed` where the identity has no key, and opens a sealed identity with a passphrase file', async () => {
    writeFileSync(join(machine.folder, 'passphrase'), 'open sesame\n')
    const args = ['dump', 'notes', '--as', 'bob.id', '--passphrase-file', 'passphrase', '--id', chainId]
    const { code, stdout } = await machine.quick(args)
    expect(code).toBe(0)
    expect(stdout).toContain("value: { text: 'milk' }")
    expect(stdout).not.toContain('for me alone')
    expect(stdout).toMatch(/value: sealed \(\d+ bytes\)/)
  })

  it('asks for the id of a chain that others made, and takes it', async () => {
    const unpinned = newMachine()
    const place = join(machine.folder, 'notes')
    const refused = await unpinned.run(['dump', place])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/^NOT_PINNED: .*\n.*--id/)
    expect((await unpinned.run(['dump', place, '--id', chainId])).code).toBe(0)
    unpinned.remove()
  })

  it('--json: one object a record, with --from and --limit', async () => {
    const { stdout } = await machine.quick([
      'dump',
      'notes',
      '--as',
      'alice.id',
      '--json',
      '--from',
      '1',
      '--limit',
      '2',
    ])
    const records = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(records.map(({ seq, kind }) => [seq, kind])).toEqual([
      [1, 'commit'],
      [2, 'commit'],
    ])
    const [event] = records[0].transactions[0].events
    expect(event).toMatchObject({ op: 'create', type: 'note', name: 'list', value: { text: 'milk' } })
  })

  it('never shows key material: no wrap, no text longer than a fingerprint', async () => {
    const { stdout } = await machine.quick(['dump', 'notes', '--as', 'alice.id', '--json'])
    for (const word of stdout.match(/[0-9a-zA-Z+/=]{65,}/g) ?? []) expect(word).toBe('')
  })

  it('runs beside a writer', async () => {
    const alice = await openIdentity(join(machine.folder, 'alice.id'))
    const chain = await openChain(`file:${join(machine.folder, 'live')}`, { as: alice })
    await chain.transact((tx) => tx.create(Note, { text: 'live' }))
    const { code, stdout } = await machine.run(['dump', 'live', '--as', 'alice.id'])
    await chain.close()
    expect(code).toBe(0)
    expect(stdout).toContain("value: { text: 'live' }")
  })
})

describe('ate verify', () => {
  it('ok: exit code 0', async () => {
    const { code, stdout, stderr } = await machine.run(['verify', 'notes'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^ok: \d+ records/)
    expect(stdout).toContain(chainId)
  })

  it('--json gives the report', async () => {
    const report = JSON.parse((await machine.quick(['verify', 'notes', '--json'])).stdout)
    expect(report).toMatchObject({ ok: true, chain: chainId, problems: [] })
  })

  it('a flipped bit: exit code 1, and code, segment, offset and record', async () => {
    const file = join(machine.folder, 'notes/seg-000000.ate')
    const bytes = readFileSync(file)
    const damaged = Uint8Array.from(bytes)
    damaged[15_000]! ^= 1
    writeFileSync(file, damaged)
    const { code, stdout, stderr } = await machine.quick(['verify', 'notes'])
    const json = JSON.parse((await machine.quick(['verify', 'notes', '--json'])).stdout)
    const dump = await machine.quick(['dump', 'notes', '--as', 'alice.id'])
    writeFileSync(file, bytes)
    expect(code).toBe(1)
    expect(stdout).toMatch(/^NOT ok: 1 problem\n/)
    expect(stderr).toMatch(/`ate salvage PLACE TO`.*`ate restore BACKUP TO`/)
    expect(stdout).toMatch(/^DAMAGED: .*segment: seg-000000\.ate, offset: \d+, seq: \d+/m)
    expect(json.problems[0]).toMatchObject({ code: 'DAMAGED', segment: 'seg-000000.ate', offset: expect.any(Number) })
    expect(dump.code).toBe(1)
    expect(dump.stderr).toContain('`ate verify`')
  })

  it('an older copy than this machine has seen', async () => {
    const folder = join(machine.folder, 'old')
    const alice = await openIdentity(join(machine.folder, 'alice.id'))
    const chain = await openChain(`file:${folder}`, { as: alice })
    await chain.close()
    const [segment, manifest] = ['seg-000000.ate', 'MANIFEST'].map((name) => readFileSync(join(folder, name)))
    const env = { ATE_HOME: process.env['ATE_HOME']! }
    const again = await openChain(`file:${folder}`, { as: alice })
    await again.transact((tx) => tx.create(Note, { text: 'newer' }))
    await again.close()
    writeFileSync(join(folder, 'seg-000000.ate'), segment!)
    writeFileSync(join(folder, 'MANIFEST'), manifest!)
    const { code, stdout, stderr } = await machine.run(['verify', 'old'], env)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^Find the newer copy.*`ate recover PLACE`\.\n`ate verify PLACE --save-evidence FILE` .*\n$/)
    expect(stdout).toContain('ROLLBACK: ')
  })

  it('no chain there', async () => {
    const { code, stdout, stderr } = await machine.run(['verify', 'nowhere'])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^CHAIN_NOT_FOUND: .*nowhere/)
  })

  it('another chain than the one whose id is given', async () => {
    const { code, stderr } = await machine.quick(['verify', 'notes', '--id', `${'0'.repeat(51)}g`])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^WRONG_CHAIN: /)
  })
})

describe('output that cannot be written', () => {
  it.skipIf(!existsSync('/dev/full'))('says so in one line, with exit code 1 (needs /dev/full)', async () => {
    const { code, stderr } = await machine.run(['verify', 'notes'], {}, '/dev/full')
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'ENOSPC: no space left on device, write\n' })
  })

  it.skipIf(process.platform === 'win32')('ends quietly when the reader has seen enough (needs a shell)', async () => {
    const { code, stderr } = await machine.run(['dump', 'notes', '--as', 'alice.id'], {}, 'closed')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})

describe('ate stats and ate doctor', () => {
  it('stats: the numbers, for people and as JSON', async () => {
    const { code, stdout } = await machine.run(['stats', 'notes', '--as', 'alice.id'])
    expect(code).toBe(0)
    expect(stdout).toContain(`chain       ${chainId}\n`)
    expect(stdout).toMatch(/^records {5}\d+, the newest of 20\d\d-/m)
    expect(stdout).toMatch(/^log {9}\d+\.\d KiB \(\d+ bytes\)$/m)
    expect(stdout).toMatch(/^attested {4}all commits$/m)
    expect(stdout).toMatch(/^checkpoints none$/m)
    const json = JSON.parse((await machine.quick(['stats', 'notes', '--as', 'alice.id', '--json'])).stdout)
    expect(json).toMatchObject({ chain: chainId, records: 5, entities: 2, voids: 0, unattested: 0, writers: 1 })
  })

  it('doctor: notes are no fault, exit code 0', async () => {
    const { code, stdout } = await machine.run(['doctor', 'notes', '--as', 'alice.id'])
    expect({ code, line: stdout.split('\n')[0] }).toEqual({ code: 0, line: `ok: chain ${chainId}, up to record 4` })
    expect(stdout).toMatch(/^note RECLAIMABLE: .* \(bytes: \d+, of: \d+\)$/m)
    expect(stdout).toMatch(/^note SINGLE_MANAGER: /m)
  })

  it('doctor: something is wrong, exit code 1', async () => {
    const alice = await openIdentity(join(machine.folder, 'alice.id'))
    const chain = await openChain(`file:${join(machine.folder, 'emptied')}`, { as: alice })
    await chain.transact((tx) => tx.role('crew').add(alice))
    await chain.transact((tx) => tx.role('crew').remove(alice))
    await chain.close()
    const { code, stdout, stderr } = await machine.quick(['doctor', 'emptied', '--as', 'alice.id'])
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    expect(stdout).toMatch(
      /^NOT ok: .*\n.*\nwarning EMPTY_ROLE: .* \(roles: 1, first: [0-9a-z]{26}\)\nnote SINGLE_MANAGER/,
    )
    const json = await machine.quick(['doctor', 'emptied', '--as', 'alice.id', '--json'])
    expect(json.code).toBe(1)
    expect(JSON.parse(json.stdout).findings[0]).toMatchObject({ code: 'EMPTY_ROLE', severity: 'warning' })
  })

  it('doctor and stats of no chain: an error, exit code 1', async () => {
    for (const command of ['doctor', 'stats']) {
      const { code, stdout, stderr } = await machine.quick([command, 'nowhere', '--as', 'alice.id'])
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
      expect(stderr).toMatch(/^CHAIN_NOT_FOUND: /)
    }
  })
})

describe('ate compact', () => {
  it('frees what values that were replaced take, and says how much', async () => {
    const place = `file:${join(machine.folder, 'worn')}`
    const alice = await openIdentity(join(machine.folder, 'alice.id'))
    const chain = await openChain(place, { as: alice })
    for (let i = 0; i < 4; i++) await chain.transact((tx) => tx.put(Note, 'n', { text: `${i}`.padEnd(9000) }))
    await chain.close()
    const { code, stdout } = await machine.run(['compact', 'worn', '--as', 'alice.id'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^freed 2\d\.\d KiB \(\d+ bytes\) in 3 records; the log has \d+\.\d KiB \(\d+ bytes\)\n$/)
    const again = JSON.parse((await machine.quick(['compact', 'worn', '--as', 'alice.id', '--json'])).stdout)
    expect(again).toMatchObject({ chain: chain.id, bytesFreed: 0, records: 0, filesInUse: 0 })
    expect((await machine.quick(['dump', 'worn', '--as', 'alice.id'])).stdout).toContain('BODY_DROPPED')
    expect((await machine.quick(['verify', 'worn', '--id', chain.id])).code).toBe(0)
  })

  it('makes no chain where there is none', async () => {
    const { code, stderr } = await machine.quick(['compact', 'nothing', '--as', 'alice.id'])
    expect(code).toBe(1)
    expect(stderr).toContain('CHAIN_NOT_FOUND')
    expect(existsSync(join(machine.folder, 'nothing'))).toBe(false)
  })
})

describe('ate id', () => {
  it("shows this machine's identity, the same each time", async () => {
    const [first, second] = [await machine.run(['id']), await machine.run(['id'])]
    expect(first.code).toBe(0)
    expect(first.stdout).toMatch(/^fingerprint [0-9a-z]{52}\npublic id {3}ate1[0-9a-z]+\n$/)
    expect(second.stdout).toBe(first.stdout)
  })

  it('makes one in a file, sealed by a passphrase file, and shows it', async () => {
    writeFileSync(join(machine.folder, 'pw'), 'long enough\nsecond line\n')
    const made = await machine.run(['id', '--new', 'new.id', '--passphrase-file', 'pw'])
    expect(made.code).toBe(0)
    expect(readFileSync(join(machine.folder, 'new.id'), 'utf8')).toContain('SEALED')
    const shown = await machine.run(['id', '--show', 'new.id', '--json'], { ATE_PASSPHRASE: 'long enough' })
    expect(made.stdout).toContain(JSON.parse(shown.stdout).fingerprint)
    const wrong = await machine.run(['id', '--show', 'new.id'], { ATE_PASSPHRASE: 'wrong' })
    expect(wrong).toMatchObject({ code: 1, stdout: '' })
    expect(wrong.stderr).toMatch(/^WRONG_PASSPHRASE: /)
    const none = await machine.quick(['id', '--show', 'new.id'])
    expect(none.stderr).toMatch(/^PASSPHRASE_NEEDED: .*\n.*--passphrase-file/)
  })

  it('says when a new one is not sealed, keeps others out, and never overwrites', async () => {
    const made = await machine.quick(['id', '--new', 'plain.id'])
    expect(made.stderr).toContain('not sealed')
    const file = join(machine.folder, 'plain.id')
    if (process.platform !== 'win32') expect(statSync(file).mode & 0o777).toBe(0o600)
    const before = readFileSync(file, 'utf8')
    expect((await machine.quick(['id', '--new', 'plain.id'])).stderr).toMatch(/^IDENTITY_EXISTS: /)
    expect(readFileSync(file, 'utf8')).toBe(before)
    if (process.platform === 'win32') return
    chmodSync(file, 0o644)
    expect((await machine.quick(['id', '--show', 'plain.id'])).stderr).toMatch(/^INSECURE_FILE: /)
  })

  it('takes no passphrase from the command line, and no two files', async () => {
    expect((await machine.quick(['id', '--new', 'a.id', '--passphrase', 'x'])).code).toBe(2)
    expect((await machine.quick(['id', '--new', 'a.id', '--show', 'b.id'])).code).toBe(2)
    expect(existsSync(join(machine.folder, 'a.id'))).toBe(false)
  })

  it('an empty passphrase file seals nothing', async () => {
    writeFileSync(join(machine.folder, 'empty'), '\n')
    expect((await machine.quick(['id', '--new', 'c.id', '--passphrase-file', 'empty'])).code).toBe(1)
    expect(existsSync(join(machine.folder, 'c.id'))).toBe(false)
  })
})

describe('ate ls', () => {
  it('lists what this machine knows, and whether it is there', async () => {
    const other = newMachine()
    expect((await other.run(['ls'])).stdout).toBe('This machine knows no chains yet.\n')
    expect((await other.quick(['ls', '--json'])).stdout).toBe('[]\n')
    const place = join(machine.folder, 'notes')
    await other.quick(['dump', place, '--id', chainId])
    const [known] = JSON.parse((await other.quick(['ls', '--json'])).stdout)
    expect(known).toMatchObject({
      place: `file:${place}`,
      chain: chainId,
      state: 'there',
      head: { seq: expect.any(Number) },
    })
    expect((await other.run(['ls'])).stdout).toContain('it is there')
    const file = join(other.folder, 'home/known-chains')
    writeFileSync(file, `file:/nowhere/at/all ${chainId}\n`)
    expect((await other.quick(['ls'])).stdout).toContain('it is gone')
    other.remove()
  })
})
