/** Backups while writing goes on, their list of files, and what becomes of a restored folder. */
import { describe, expect, it } from 'vitest'
import { fromUtf8, toHex, utf8 } from '../../src/base/bytes.ts'
import { chainIdOf } from '../../src/base/ids.ts'
import { backup, restore } from '../../src/data/backup.ts'
import { writeBackupList } from '../../src/data/backup-list.ts'
import { destroy } from '../../src/data/destroy.ts'
import { verifyPlace } from '../../src/data/verify-place.ts'
import { COMMIT, KIND } from '../../src/event/format.ts'
import { hashCommit, hashRecord } from '../../src/event/record.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { readAll } from '../../src/testing/log-suite.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { replicaDigest } from '../../src/testing/view-digest.ts'
import {
  crashAll,
  filesOf,
  makeChain,
  NAME,
  notesAt,
  notesOf,
  readingAt,
  recordsAt,
  WRAPPED,
  write,
  writingAt,
} from './copies.ts'
import { codeOf, coreOf, crypto, errorOf, Note, open, person, quickPlatform } from './kit.ts'

/** The same disks on a machine that remembers nothing. */
function elsewhere(platform: TestPlatform, paths: readonly string[]): TestPlatform {
  return quickPlatform(77, { disks: new Map(paths.map((path) => [path, platform.disk(path)])), state: memoryState() })
}

const BACKUP = 'file:/backup'

/** The text of a list with the sum that fits it. */
function resummed(text: string): string {
  const { sum: _, version, ...rest } = JSON.parse(text)
  const sum = toHex(crypto.sha256(utf8(JSON.stringify({ ...rest, version }))))
  return `${JSON.stringify({ ...rest, sum, version })}\n`
}

describe('a backup', () => {
  it('holds everything up to one durable head, taken while writing goes on', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/chain', { as: person('alice') }, platform)
    await coreOf(chain).engine.ring.put(NAME, WRAPPED)
    await write(chain, 20)
    const head = chain.head
    const running = chain.backup(BACKUP)
    const writing = write(chain, 20)
    const receipt = await running
    await writing
    expect(receipt).toMatchObject({ chain: chain.id, head: { seq: head.seq }, records: head.seq + 1, keys: 1 })
    expect(receipt.head.hash).toEqual(head.hash)
    expect((await recordsAt('/backup', platform)).length).toBe(head.seq + 1)
    expect((await notesOf(chain)).length).toBe(40)
    expect((await notesAt(BACKUP, elsewhere(platform, ['/backup']))).length).toBe(20)
    await chain.close()
    expect(await recordsAt('/backup', platform)).toEqual((await recordsAt('/chain', platform)).slice(0, head.seq + 1))
    expect(await verifyPlace(BACKUP, {}, elsewhere(platform, ['/backup']))).toMatchObject({
      ok: true,
      records: head.seq + 1,
    })
  })

  it('is taken beside the writer, without an identity, of what is durable only', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/chain', { as: person('alice') }, platform)
    await write(chain, 3)
    await chain.transact((tx) => tx.create(Note, { text: 'in the cache' }), { durability: 'os' })
    const receipt = await backup('file:/chain', BACKUP, { id: chain.id }, platform)
    expect(receipt.head.seq).toBeLessThan(chain.head.seq)
    const reader = await open('file:/chain', { as: person('alice'), readOnly: true }, platform)
    expect((await reader.backup('file:/second')).head.seq).toBe(receipt.head.seq)
    await reader.close()
    await chain.close()
    expect((await notesAt(BACKUP, elsewhere(platform, ['/backup']))).slice(0, 3)).toEqual([
      'note 0',
      'note 1',
      'note 2',
    ])
  })

  it('of a log that was compacted, or is meanwhile, restores to the same state', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/chain', { as: person('alice') }, platform)
    const note = await chain.transact((tx) => tx.create(Note, { text: 'x'.repeat(9000) }))
    for (let i = 0; i < 12; i++) await chain.transact((tx) => tx.update(note, () => ({ text: `${i}`.repeat(9000) })))
    const [first, report] = await Promise.all([chain.backup('file:/first'), chain.compact()])
    expect(report.records).toBeGreaterThan(0)
    const second = await chain.backup('file:/second')
    expect(second.bytes).toBeLessThan(first.bytes)
    const digest = replicaDigest(coreOf(chain).replica)
    await chain.close()
    for (const name of ['first', 'second']) {
      await restore(`file:/${name}`, `file:/${name}-restored`, {}, platform)
      const machine = elsewhere(platform, [`/${name}-restored`])
      const restored = await open(`file:/${name}-restored`, { as: person('alice'), readOnly: true }, machine)
      expect(restored.head.seq).toBe(first.head.seq)
      if (name === 'second') expect(replicaDigest(coreOf(restored).replica)).toBe(digest)
      expect((await restored.load(Note, note.id)).value.text).toBe('11'.repeat(9000))
      await restored.close()
    }
  })

  it('lists each file with its size and hash, in one form', async () => {
    const platform = quickPlatform()
    const id = await makeChain(platform)
    const receipt = await backup('file:/chain', BACKUP, {}, platform)
    const text = fromUtf8(platform.disk('/backup').peek('BACKUP'))
    const list = JSON.parse(text)
    expect(Object.keys(list)).toEqual(['at', 'chain', 'files', 'format', 'head', 'keys', 'sum', 'version'])
    expect(list).toMatchObject({
      chain: id,
      format: 'ate-backup',
      version: 2,
      keys: 1,
      head: { seq: receipt.head.seq },
    })
    expect(list.files.map(({ name }: { name: string }) => name)).toEqual([
      'MANIFEST',
      'ring/000000.slots',
      'seg-000000.ate',
    ])
    expect(receipt.files).toBe(3)
    expect(receipt.bytes).toBe(list.files.reduce((sum: number, { bytes }: { bytes: number }) => sum + bytes, 0))
    expect(text.endsWith('}\n')).toBe(true)
  })

  it('holds the wrapped keys, unless they are left out', async () => {
    const platform = quickPlatform()
    await makeChain(platform)
    expect(await backup('file:/chain', BACKUP, { keys: 'omit' }, platform)).toMatchObject({ keys: 0, files: 2 })
    expect(await codeOf(backup('file:/chain', 'file:/x', { keys: 'some' as never }, platform))).toBe('BAD_ARGUMENT')
    expect(await restore(BACKUP, 'file:/restored', {}, platform)).toMatchObject({ keys: 0 })
    const bytes = Buffer.from(WRAPPED).toString('hex')
    expect([...filesOf('/backup', platform).values()].some((file) => file.includes(bytes))).toBe(false)
  })

  it('goes to an empty folder, and is of the chain that is meant', async () => {
    const platform = quickPlatform()
    const id = await makeChain(platform)
    await makeChain(platform, 'file:/other', 1)
    expect(await codeOf(backup('file:/chain', 'file:/other', {}, platform))).toBe('CHAIN_EXISTS')
    expect(await codeOf(backup('file:/other', BACKUP, { id }, platform))).toBe('WRONG_CHAIN')
    expect(await codeOf(backup('file:/none', BACKUP, {}, platform))).toBe('CHAIN_NOT_FOUND')
    expect(await codeOf(backup('file:/chain', 'memory:', {}, platform))).toBe('BAD_URL')
    await backup('file:/chain', BACKUP, {}, platform)
    expect(await codeOf(backup('file:/chain', BACKUP, {}, platform))).toBe('CHAIN_EXISTS')
    const letters = platform.disk('/letters')
    letters.makeFolder('')
    letters.open('letter.txt', 'create').close()
    expect(await codeOf(backup('file:/chain', 'file:/letters', {}, platform))).toBe('NOT_A_CHAIN')
    for (const within of ['file:/chain/copy', 'file:/chain/a/b'])
      expect(await codeOf(backup('file:/chain', within, {}, platform))).toBe('BAD_URL')
  })

  it('ends with its signal, and what it leaves is no chain and no backup; the next one takes its place', async () => {
    const platform = quickPlatform()
    await makeChain(platform, 'file:/chain', 30)
    const abort = new AbortController()
    const seen: number[] = []
    const onProgress = (done: number): void => {
      seen.push(done)
      abort.abort(new Error('enough'))
    }
    const run = backup('file:/chain', BACKUP, { signal: abort.signal, onProgress }, platform)
    await expect(run).rejects.toThrow('enough')
    expect(seen.length).toBe(1)
    expect(await readingAt(BACKUP, platform)).toBe('CHAIN_INCOMPLETE')
    expect(await writingAt(BACKUP, platform)).toBe('CHAIN_INCOMPLETE')
    expect(await codeOf(verifyPlace(BACKUP, {}, platform))).toBe('CHAIN_INCOMPLETE')
    expect(await codeOf(restore(BACKUP, 'file:/restored', {}, platform))).toBe('BAD_BACKUP')
    await backup('file:/chain', BACKUP, {}, platform)
    await restore(BACKUP, 'file:/restored', {}, platform)
  })

  it('is never written, and not recovered in place', async () => {
    const platform = quickPlatform()
    await makeChain(platform)
    await backup('file:/chain', BACKUP, {}, platform)
    const before = filesOf('/backup', platform)
    expect(await writingAt(BACKUP, elsewhere(platform, ['/backup']))).toBe('CHAIN_COPY')
    expect(filesOf('/backup', platform)).toEqual(before)
  })
})

describe('restoring', () => {
  it('gives the same records and keys, read-only, also on a machine that remembers nothing', async () => {
    const platform = quickPlatform()
    const id = await makeChain(platform)
    await backup('file:/chain', BACKUP, {}, platform)
    const progress: number[] = []
    const receipt = await restore(BACKUP, 'file:/restored', { id, onProgress: (done) => progress.push(done) }, platform)
    expect(receipt).toMatchObject({ chain: id, keys: 1 })
    expect(progress.at(-1)).toBe(receipt.records)
    expect(await recordsAt('/restored', platform)).toEqual(await recordsAt('/chain', platform))
    expect(await notesAt('file:/restored', platform)).toEqual(await notesAt('file:/chain', platform))
    for (const machine of [platform, elsewhere(platform, ['/restored'])]) {
      const error = await errorOf(open('file:/restored', { as: person('alice') }, machine))
      expect(error.code).toBe('CHAIN_COPY')
      expect(error.message).toContain('recover')
      expect(await codeOf(open('file:/restored', { as: person('alice'), rollback: 'accept' }, machine))).toBe(
        'CHAIN_COPY',
      )
    }
    const reader = await open('file:/restored', { as: person('alice'), readOnly: true }, platform)
    expect(await coreOf(reader).engine.ring.get(NAME)).toEqual(WRAPPED)
    await reader.close()
  })

  it('into an engine: read-only too', async () => {
    const platform = quickPlatform()
    await makeChain(platform)
    await backup('file:/chain', BACKUP, {}, platform)
    const engine = memoryEngine(memoryStore())
    await restore(BACKUP, engine, {}, platform)
    expect(engine.standing.state).toBe('copy')
    expect(await codeOf(open(engine, { as: person('alice') }, quickPlatform(3)))).toBe('CHAIN_COPY')
  })

  it('names the file that was changed, cut, taken away or added, and the list itself', async () => {
    const platform = quickPlatform()
    await makeChain(platform)
    await backup('file:/chain', BACKUP, {}, platform)
    const fs = platform.disk('/backup')
    const bad = async (): Promise<unknown> =>
      (await errorOf(restore(BACKUP, 'file:/restored', {}, platform))).facts['file']
    for (const name of fs.files()) {
      const whole = fs.peek(name)
      for (const at of [0, whole.length >>> 1, whole.length - 1]) {
        fs.poke(name, (bytes) => bytes.with(at, bytes[at]! ^ 1))
        expect([name, at, await bad()]).toEqual([name, at, name])
        fs.poke(name, () => whole)
      }
      fs.poke(name, (bytes) => bytes.slice(0, -1))
      expect(await bad()).toBe(name)
      fs.poke(name, () => Uint8Array.of(...whole, 0))
      expect(await bad()).toBe(name)
      fs.poke(name, () => whole)
      const kept = new SimFileSystem(5)
      fs.copyTo(kept, name, 'kept')
      fs.drop(name)
      expect(await bad()).toBe(name)
      kept.copyTo(fs, 'kept', name)
    }
    for (const name of ['seg-000001.ate', 'letter.txt', `ring/${'77'.repeat(32)}.key`]) {
      const other = new SimFileSystem(6)
      other.open('a', 'create').close()
      other.copyTo(fs, 'a', name)
      expect(await bad()).toBe(name)
      fs.drop(name)
    }
    await restore(BACKUP, 'file:/restored', {}, platform)
  })

  it('refuses a list in another form, of a newer version, or that leads out of the folder', async () => {
    const platform = quickPlatform()
    await makeChain(platform)
    await backup('file:/chain', BACKUP, {}, platform)
    const fs = platform.disk('/backup')
    const whole = fromUtf8(fs.peek('BACKUP'))
    const changed = async (change: (text: string) => string): Promise<string> => {
      fs.poke('BACKUP', () => utf8(change(whole)))
      return codeOf(restore(BACKUP, 'file:/restored', {}, platform))
    }
    expect(await changed((text) => ` ${text}`)).toBe('BAD_BACKUP')
    expect(await changed((text) => text.replace('"keys":1', '"keys":2'))).toBe('BAD_BACKUP')
    // With sums that fit, the form is what refuses them.
    expect(await changed((text) => resummed(text.replace('"keys":1', '"keys":2')))).toBe('BAD_BACKUP')
    expect(await changed((text) => resummed(text.replace('"keys":1', '"keys":-1')))).toBe('BAD_BACKUP')
    expect(await changed((text) => resummed(text.replace('"version":2', '"version":3')))).toBe('UNSUPPORTED_FORMAT')
    expect(await changed((text) => resummed(text.replace('ate-backup', 'other')))).toBe('BAD_BACKUP')
    expect(await changed((text) => resummed(text.replace('"MANIFEST"', '"../../x"')))).toBe('BAD_BACKUP')
    expect(await changed((text) => resummed(text.replace('"seq":', '"seq":1')))).toBe('BAD_BACKUP')
    expect(await changed((text) => resummed(text.replace('"at":', '"and":1,"at":')))).toBe('BAD_BACKUP')
    expect(await changed((text) => resummed(text))).toBe('nothing was thrown')
    await destroy('file:/restored', {}, platform)
    const outside = `{"bytes":1,"name":"../../x","sha256":"${'0'.repeat(64)}"},`
    fs.poke('BACKUP', () => utf8(resummed(whole.replace('"files":[', `"files":[${outside}`))))
    expect((await errorOf(restore(BACKUP, 'file:/restored', {}, platform))).facts['file']).toBe('BACKUP')
    expect(await changed(() => '[]')).toBe('BAD_BACKUP')
    expect(await changed(() => 'null')).toBe('BAD_BACKUP')
    expect(await changed(() => '')).toBe('BAD_BACKUP')
    expect(await changed((text) => text)).toBe('nothing was thrown')
  })

  it('verifies every record: a backup whose hashes were made to fit is not believed', async () => {
    const platform = quickPlatform()
    await makeChain(platform)
    // A log with a record that nobody signed, whose frames are sound.
    const forged = await forgedBackup(platform)
    expect(await codeOf(restore(forged, 'file:/restored', {}, platform))).toBe('BAD_SIGNATURE')
    expect(await readingAt('file:/restored', platform)).toBe('CHAIN_INCOMPLETE')
    expect(await writingAt('file:/restored', platform)).toBe('CHAIN_INCOMPLETE')
  })

  it('is of the chain that is meant, into an empty place', async () => {
    const platform = quickPlatform()
    await makeChain(platform)
    const other = await makeChain(platform, 'file:/other', 1)
    await backup('file:/chain', BACKUP, {}, platform)
    expect(await codeOf(restore(BACKUP, 'file:/restored', { id: other }, platform))).toBe('WRONG_CHAIN')
    expect(await codeOf(restore(BACKUP, 'file:/other', {}, platform))).toBe('CHAIN_EXISTS')
    expect(await codeOf(restore('file:/chain', 'file:/restored', {}, platform))).toBe('BAD_BACKUP')
    expect(await codeOf(restore('file:/none', 'file:/restored', {}, platform))).toBe('BAD_BACKUP')
    await restore(BACKUP, 'file:/restored', {}, platform)
    expect(await codeOf(restore(BACKUP, 'file:/restored', {}, platform))).toBe('CHAIN_EXISTS')
  })
})

describe('a power cut', () => {
  it('after any operation of a backup or a restore leaves no half that looks whole', async () => {
    const cut = async (
      work: (platform: TestPlatform) => Promise<unknown>,
      path: string,
      ready: boolean,
    ): Promise<number> => {
      for (let at = 1; ; at++) {
        const platform = quickPlatform(at)
        await makeChain(platform, 'file:/chain', 2)
        if (ready) await backup('file:/chain', BACKUP, {}, platform)
        const disk = platform.disk(path)
        disk.faults = { cutAfter: disk.counts.operations + at }
        const error = await work(platform).then(
          () => undefined,
          (failure) => failure,
        )
        if (!disk.isCut) return at
        crashAll(platform, [path])
        const records = await recordsAt('/chain', platform)
        const reading = await readingAt(`file:${path}`, elsewhere(platform, [path]))
        if (reading === 'read') expect(await recordsAt(path, platform)).toEqual(records)
        else
          expect([at, reading, ['CHAIN_INCOMPLETE', 'CHAIN_NOT_FOUND'].includes(reading)]).toEqual([at, reading, true])
        if (!ready && error && !disk.files().includes('BACKUP'))
          expect(await codeOf(restore(BACKUP, 'file:/r', {}, platform))).toBe('BAD_BACKUP')
        expect(await writingAt(`file:${path}`, elsewhere(platform, [path]))).not.toBe('written')
        // Doing it again ends well, unless it had ended already.
        const again = await codeOf(work(platform))
        expect([at, again === 'nothing was thrown' || (again === 'CHAIN_EXISTS' && reading === 'read')]).toEqual([
          at,
          true,
        ])
        expect(await recordsAt(path, platform)).toEqual(records)
      }
    }
    expect(await cut((platform) => backup('file:/chain', BACKUP, {}, platform), '/backup', false)).toBeGreaterThan(20)
    expect(await cut((platform) => restore(BACKUP, 'file:/restored', {}, platform), '/restored', true)).toBeGreaterThan(
      15,
    )
  }, 120_000)
})

/** A backup that its own list calls whole, of a log whose last record has a signature with one bit changed. */
async function forgedBackup(platform: TestPlatform): Promise<string> {
  const { random, clock } = platform.environment
  const source = await openFileLog({ fs: platform.disk('/chain'), random, clock, readOnly: true })
  const records = await readAll(source)
  const label = source.label!
  const last = records.findLast(({ bytes }) => bytes[80] === KIND.commit)!
  const kept = records.slice(0, last.seq)
  const bytes = last.bytes.slice()
  bytes[COMMIT.sig + 40]! ^= 1
  const hash = hashRecord(crypto, label, bytes, KIND.commit, hashCommit(crypto, label, bytes, undefined))
  const fs = platform.disk('/forged')
  const target = await openFileLog({
    fs,
    random,
    clock,
    create: true,
    label,
    standing: { state: 'backup', note: '' },
    standings: ['backup'],
  })
  await target.append([...kept, { seq: last.seq, bytes, hash }], {
    after: undefined,
    durability: 'disk',
    load: 'alone',
  })
  await target.close()
  await source.close()
  const files = fs
    .files()
    .map((name) => ({ name, bytes: fs.peek(name).length, sha256: toHex(crypto.sha256(fs.peek(name))) }))
  writeBackupList(fs, { chain: chainIdOf(label), head: { seq: last.seq, hash }, keys: 0, at: 1, files }, crypto)
  return 'file:/forged'
}
