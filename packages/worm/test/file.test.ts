/**
 * On files, with real processes and real bytes: what is altered is found and named, a put that is killed goes on, nothing of a
 * body stands in the folder in clear, and no clock opens what is kept.
 * @newest-node-only: runs the TypeScript sources
 */
import { execFile, fork, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { type Identity, openChain, saveIdentity, verifyPlace } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Worm, worm } from '../src/index.ts'
import { CHUNK_BYTES } from '../src/worm-records.ts'
import { all, codeOf, noise, person } from './kit.ts'

/** MiB of the body whose put is killed: 5,120 in the long run. */
const BODY_MIB = Number(process.env['ATE_BODY_MIB'] ?? 12)
const CANARY = 'canary-5f3b9e-worm'

let folder: string
let me: Identity
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-worm-'))
  me = await person('root')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const at = (name: string): string => join(folder, name)

async function withArchive<R>(name: string, run: (archive: Worm) => Promise<R>): Promise<R> {
  const chain = await openChain(`file:${at(name)}`, { as: me })
  try {
    return await run(worm(chain))
  } finally {
    await chain.close()
  }
}

/** For processes of their own. */
async function identityFile(): Promise<string> {
  await saveIdentity(me, at('me'))
  return at('me')
}

function segmentOf(name: string): string {
  const [file] = readdirSync(at(name)).filter((file) => file.startsWith('seg-'))
  return join(at(name), file!)
}

describe('W3: bytes of the file', () => {
  it('that are flipped, swapped or cut are found, and the object is named', async () => {
    const second = await withArchive('a', async (archive) => {
      await archive.put('first', noise(50_000, 2), { retain: '1y' })
      const { seq } = await archive.put('second', noise(200_000, 1), { retain: '1y' })
      await archive.put('third', noise(50_000, 3), { retain: '1y' })
      await archive.checkpoint()
      return seq
    })
    const segment = segmentOf('a')
    const whole = readFileSync(segment)
    // In the middle of the largest body: what is written there is ciphertext of a chunk.
    const middle = Math.floor(whole.length / 2)
    const flipped = Buffer.from(whole)
    flipped[middle]! ^= 0x40
    writeFileSync(segment, flipped)
    const report = await verifyPlace(`file:${at('a')}`)
    expect(report.ok).toBe(false)
    // Who opens it is told the file, the place in it, and the record; nothing of it is read as if it were sound.
    const error = await withArchive('a', (archive) => archive.stat('second')).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'DAMAGED', facts: { segment: 'seg-000000.ate', firstSeq: second } })

    const swapped = Buffer.from(whole)
    const [here, there] = [Math.floor(whole.length * 0.4), Math.floor(whole.length * 0.6)]
    swapped.copyWithin(here, there, there + 4096)
    writeFileSync(segment, swapped)
    expect((await verifyPlace(`file:${at('a')}`)).ok).toBe(false)

    writeFileSync(segment, whole)
    truncateSync(segment, Math.floor(whole.length * 0.7))
    expect(
      await verifyPlace(`file:${at('a')}`).then(
        ({ ok }) => ok,
        () => false,
      ),
    ).toBe(false)

    // Back to the whole, all is well: the test looks at what it damaged.
    writeFileSync(segment, whole)
    expect((await verifyPlace(`file:${at('a')}`)).ok).toBe(true)
    const sound = await withArchive('a', (archive) => all(archive.fsck({ deep: true })))
    expect(sound.map(({ ok }) => ok)).toEqual([true, true, true])
  })

  it('flipped while the chain is open: fsck names the object, and a read gives none of it out', async () => {
    await withArchive('b', async (archive) => {
      await archive.put('sound', noise(50_000, 2))
      const stored = await archive.put('altered', noise(2 * CHUNK_BYTES, 1))
      const segment = segmentOf('b')
      const bytes = readFileSync(segment)
      bytes[bytes.length - Math.floor(CHUNK_BYTES / 2)]! ^= 1
      writeFileSync(segment, bytes)
      const found = await all(archive.fsck({ deep: true }))
      expect(found.slice(0, 2)).toMatchObject([
        { ok: true, ref: { name: 'sound' } },
        { ok: false, ref: { name: 'altered', version: stored.version }, problem: 'altered', chunk: 1 },
      ])
      expect(found.slice(2).every((finding) => !finding.ok && finding.problem === 'log')).toBe(true)
      const reader = (await archive.get(stored)).body.getReader()
      expect((await reader.read()).value?.length).toBe(CHUNK_BYTES)
      expect(await codeOf(reader.read())).toMatch(/DAMAGED|BAD_BODY/)
    })
  })

  it('of one object among many: fsck says so of that one, and of its chunk, whichever are of a subject', async () => {
    await withArchive('d', async (archive) => {
      const sizes = [2.5, 1, 3.2, 0.4, 2]
      for (const [i, chunks] of sizes.entries()) {
        const body = noise(Math.floor(chunks * CHUNK_BYTES), i + 1)
        await archive.put(`object ${i}`, body, i % 2 === 0 ? {} : { subject: 's' })
      }
      const expected = sizes.map((_, i) => ({ ok: true, ref: { name: `object ${i}` } }))
      expect(await all(archive.fsck({ deep: true }))).toMatchObject(expected)
      // Within the first chunk of the first object.
      const segment = segmentOf('d')
      const bytes = readFileSync(segment)
      bytes[Math.floor(CHUNK_BYTES / 2)]! ^= 1
      writeFileSync(segment, bytes)
      const [first, ...others] = await all(archive.fsck({ deep: true }))
      expect(first).toMatchObject({ ok: false, ref: { name: 'object 0' }, problem: 'altered', chunk: 0 })
      expect(others.slice(0, 4)).toMatchObject(expected.slice(1))
      expect(others.slice(4).every((finding) => !finding.ok && finding.problem === 'log')).toBe(true)
    })
  })
})

it('nothing of a body, a name, a matter, a reason or a subject stands in the folder in clear', async () => {
  await withArchive('c', async (archive) => {
    const body = `${CANARY} `.repeat(3000)
    const stored = await archive.put(`${CANARY}/name`, body, {
      subject: `${CANARY} subject`,
      meta: { note: CANARY },
      hold: `${CANARY} matter`,
    })
    await archive.put('large', noise(CHUNK_BYTES).fill(65))
    await archive.release(stored, `${CANARY} matter`, { reason: `${CANARY} reason` })
    await archive.dispose(stored, { reason: `${CANARY} gone` })
  })
  const bytes = Buffer.concat(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((file) => join(folder, file))
      .filter((file) => statSync(file).isFile())
      .map((file) => readFileSync(file)),
  )
  const forms = [CANARY, Buffer.from(CANARY).toString('hex'), 'AAAAAAAAAAAAAAAA']
  for (const form of forms) expect([form, bytes.includes(form)]).toEqual([form, false])
})

it('W8: an older copy of the log with the ring of now does not open what was erased', async () => {
  await withArchive('d', (archive) => archive.put('a', 'mine', { subject: 's' }).then(() => undefined))
  cpSync(at('d'), at('old'), { recursive: true })
  await withArchive('d', async (archive) => {
    expect((await archive.erase('s')).shredded).toBe(1)
  })
  rmSync(join(at('old'), 'ring'), { recursive: true, force: true })
  try {
    cpSync(join(at('d'), 'ring'), join(at('old'), 'ring'), { recursive: true })
  } catch {
    // The ring is empty, and so its folder may not be there.
  }
  const copy = await openChain(`file:${at('old')}`, { as: me, readOnly: true, rollback: 'accept' })
  expect(await codeOf(worm(copy).get('a'))).toBe('KEY_MISSING')
  await copy.close()
})

it('W7: a put that is killed shows nothing, and goes on with its key', async () => {
  const env = { ...process.env, ATE_HOME: at('home') }
  const place = `file:${at('large')}`
  const args = ['upload', place, await identityFile(), String(BODY_MIB)]
  const child = fork(join(import.meta.dirname, 'file-child.ts'), args, { execArgv: ['-C', '@ate/source'], env })
  const gone = new Promise((resolve) => child.once('exit', resolve))
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.on('message', (done) => Number(done) > BODY_MIB / 2 && resolve())
    child.once('exit', (code) => reject(new Error(`it ended with ${code}`)))
  })
  child.removeAllListeners('exit')
  child.once('exit', () => undefined)
  child.kill('SIGKILL')
  await Promise.race([gone, new Promise((resolve) => child.once('exit', resolve))])

  const chain = await openChain(place, { as: me })
  try {
    const archive = worm(chain)
    expect(await all(archive.list())).toEqual([])
    const [upload] = await all(archive.uploads())
    expect(upload!.chunks).toBeGreaterThan(2)
    const digest = createHash('sha256')
    async function* body(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < BODY_MIB; i++) {
        const piece = noise(1024 * 1024, i)
        digest.update(piece)
        yield piece
      }
    }
    const stored = await archive.put('large', body(), { key: 'k' })
    expect([stored.version, stored.digest]).toEqual([upload!.version, digest.digest('hex')])
    const read = createHash('sha256')
    let most = 0
    for await (const piece of (await archive.get('large')).body as unknown as AsyncIterable<Uint8Array>) {
      read.update(piece)
      most = Math.max(most, piece.length)
    }
    expect([read.digest('hex'), most]).toEqual([stored.digest, CHUNK_BYTES])
  } finally {
    await chain.close()
  }
})

const hasFaketime = spawnSync('faketime', ['--version']).error === undefined
it.skipIf(!hasFaketime)('W5: a process whose clock is a hundred years ahead, or back, opens nothing', async () => {
  const chain = await openChain(`file:${at('now')}`, { as: me })
  await worm(chain, { defaults: { mode: 'compliance', retain: '6y' } }).put('a', 'kept')
  await chain.close()
  const file = await identityFile()
  const year = new Date().getUTCFullYear()
  const told = async (shift: string): Promise<string[]> => {
    cpSync(at('now'), at(shift), { recursive: true })
    const child = [
      '-C',
      '@ate/source',
      join(import.meta.dirname, 'file-child.ts'),
      'dispose',
      `file:${at(shift)}`,
      file,
    ]
    const env = { ...process.env, ATE_HOME: at(`home ${shift}`), FAKETIME_DONT_FAKE_MONOTONIC: '1' }
    const { stdout } = await promisify(execFile)('faketime', ['-f', shift, process.execPath, ...child], { env })
    return stdout.trim().split(' ')
  }
  for (const [code, then] of await Promise.all(['+36525d', '-36525d'].map(told))) {
    // Nobody has proven a time: what is over by a clock alone is kept as well.
    expect(['TIME_UNPROVEN', 'RETAINED']).toContain(code)
    expect(Math.abs(Number(then) - year)).toBeGreaterThan(90)
  }
})
