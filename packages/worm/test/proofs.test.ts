/** Proofs that stand alone, the trail, the look-over, and what leaves as a tar. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTarDecoder } from 'modern-tar'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Trust, verifyProof } from '../src/index.ts'
import { parseManifest } from '../src/manifest.ts'
import { CHUNK_BYTES, ChunkType, KeyType } from '../src/worm-records.ts'
import { all, bytesOf, codeOf, fourWitnesses, newPlace, noise, type Place, textOf } from './kit.ts'

let place: Place
beforeEach(() => {
  place = newPlace()
})
afterEach(() => place.close())

describe('a proof', () => {
  it('shows that this body was locked, to who has no chain, no key and no server', async () => {
    const archive = await place.open()
    const body = noise(CHUNK_BYTES + 5)
    await archive.put('first', 'x')
    const stored = await archive.put('mail/1', body, { mode: 'compliance', retain: '6y' })
    const proof = await archive.prove(stored)
    const trust = archive.trust()
    const { identity } = archive.chain
    await place.close()
    const verified = await verifyProof(proof, body, trust)
    expect(verified).toMatchObject({
      index: BigInt(stored.seq),
      name: 'mail/1',
      version: stored.version,
      digest: stored.digest,
      mode: 'compliance',
      retainUntil: stored.retainUntil,
      by: identity,
      witnesses: 0,
      notAfter: undefined,
    })
    expect((await verifyProof(proof, { sha256: stored.digest }, trust)).name).toBe('mail/1')
    expect(proof.startsWith('c2sp.org/tlog-proof@v1\nextra ')).toBe(true)
    expect(proof).toMatch(new RegExp(`\nindex ${stored.seq}\n`))
  })

  it('is refused for another body, another log, another key, and a byte that differs', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', 'body')
    const other = await archive.put('b', 'other')
    const proof = await archive.prove(stored)
    const trust = archive.trust()
    expect(await codeOf(verifyProof(proof, 'Body', trust))).toBe('BAD_PROOF')
    expect(await codeOf(verifyProof(proof, { sha256: other.digest }, trust))).toBe('BAD_PROOF')
    const elsewhere = await newPlace(undefined, 2).open()
    expect(await codeOf(verifyProof(proof, 'body', elsewhere.trust()))).toBe('BAD_PROOF')
    await elsewhere.chain.close()
    const wrong: Trust[] = [
      { ...trust, log: elsewhere.trust().log },
      { ...trust, log: trust.log.replace(/.$/, trust.log.endsWith('A') ? 'B' : 'A') },
      { ...trust, origin: 'example.org' },
      {} as Trust,
    ]
    for (const bad of wrong) expect(await codeOf(verifyProof(proof, 'body', bad))).toBe('BAD_ARGUMENT')
    const lines = proof.split('\n')
    const changed = [
      proof.slice(0, -30),
      proof.replace(/index \d+/, 'index 0'),
      proof.replace('tlog-proof@v1', 'tlog-proof@v2'),
      proof.replace(/^extra .*$/m, ''),
      proof.replace(/^extra .*$/m, 'extra e30='),
      [...lines.slice(0, 3), ...lines.slice(4)].join('\n'),
      '',
    ]
    for (const text of changed)
      expect(await codeOf(verifyProof(text, 'body', trust))).toMatch(/^BAD_(PROOF|CHECKPOINT)$/)
  })

  it('is not of another manifest, whoever writes the extra', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', 'body')
    const proof = await archive.prove(stored)
    const [, encoded] = /^extra (.*)$/m.exec(proof)!
    const extra = JSON.parse(Buffer.from(encoded!, 'base64').toString()) as { manifest: string }
    const sha256 = createHash('sha256').update('forged').digest('hex')
    const manifest = JSON.stringify({ ...parseManifest(extra.manifest), sha256, size: '6' })
    const forged = Buffer.from(JSON.stringify({ ...extra, manifest })).toString('base64')
    expect(await codeOf(verifyProof(proof.replace(encoded!, forged), 'forged', archive.trust()))).toBe('BAD_PROOF')
  })

  it('says by when it was there, by a quorum of witnesses; 2 of 3 can be fooled by one, 3 of 4 not', async () => {
    const { witnesses, all: four, cosign } = fourWitnesses(place.platform)
    const archive = await place.open({ witnesses })
    const stored = await archive.put('a', 'body')
    const { seq } = await archive.checkpoint()
    expect(await codeOf(archive.prove(stored, { witnesses }))).toBe('NOT_WITNESSED')
    const at = 1_800_000_000_000
    await archive.checkpoint({
      cosign: (note) => four.slice(0, 3).map((witness, i) => witness.cosign(note, at + i * 1000)),
    })
    const proof = await archive.prove(stored, { witnesses })
    const verified = await verifyProof(proof, 'body', archive.trust())
    expect([verified.witnesses, verified.notAfter]).toEqual([3, new Date(at + 2000)])
    expect(seq).toBeGreaterThan(0)
    // One honest witness and one that lies make a quorum of 2 of 3, for whichever history; of 3 of 4 they make none.
    await archive.checkpoint({ cosign: cosign(at, 2) })
    const weak = await archive.prove(stored, { witnesses: { keys: witnesses.keys.slice(0, 3), quorum: 2 } })
    const trusting = { ...archive.trust(), witnesses: { keys: witnesses.keys.slice(0, 3), quorum: 2 } }
    expect((await verifyProof(weak, 'body', trusting)).witnesses).toBe(2)
    expect(await codeOf(verifyProof(weak, 'body', archive.trust()))).toBe('NOT_WITNESSED')
  })

  it('of what was disposed of still verifies', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', 'body')
    const proof = await archive.prove(stored)
    const { leaf } = await archive.dispose(stored, { reason: 'r' })
    await archive.chain.compact()
    expect((await verifyProof(proof, 'body', archive.trust())).version).toBe(stored.version)
    const [, encoded] = /^extra (.*)$/m.exec(proof)!
    const { manifest } = JSON.parse(Buffer.from(encoded!, 'base64').toString()) as { manifest: string }
    expect(createHash('sha256').update(manifest).digest('hex')).toBe(leaf)
  })
})

describe('the trail', () => {
  it('tells of all that was done, and of what went past the kit', async () => {
    const archive = await place.open()
    const one = await archive.put('a', 'one', { retain: 500 })
    const two = await archive.put('b', noise(CHUNK_BYTES + 1), { type: 'text/plain' })
    await archive.extend(one, 800, { reason: 'longer' })
    const { chain } = archive
    for (const id of chain.children(ChunkType, two.version, 'chunks').ids()) await chain.transact((tx) => tx.delete(id))
    await chain.transact((tx) => tx.delete(two.version))
    const events = await all(archive.audit())
    expect(events.map(({ act, ref }) => [act, ref.name])).toEqual([
      ['put', 'a'],
      ['put', 'b'],
      ['extend', 'a'],
      ['delete', 'b'],
    ])
    expect(events[0]).toMatchObject({ digest: one.digest, size: 3n, by: chain.identity, until: one.retainUntil })
    expect((await all(archive.audit({ from: events[2]!.seq }))).length).toBe(2)
    expect((await all(archive.audit({ version: two.version }))).length).toBe(2)
  })
})

describe('the look-over', () => {
  it('finds all well, and names what lacks a part', async () => {
    const archive = await place.open()
    const one = await archive.put('a', noise(CHUNK_BYTES + 1))
    const two = await archive.put('b', 'two', { subject: 's' })
    for (const deep of [false, true])
      expect((await all(archive.fsck({ deep }))).map(({ ok, ref }) => [ok, ref?.name])).toEqual([
        [true, 'a'],
        [true, 'b'],
      ])
    const { chain } = archive
    const [chunk] = chain.children(ChunkType, one.version, 'chunks').ids()
    await chain.transact((tx) => tx.delete(chunk!))
    const [key] = chain.children(KeyType, two.version, 'key').ids()
    await chain.transact((tx) => tx.shred(key!))
    const found = await all(archive.fsck({ deep: true }))
    expect(found).toEqual([
      { ok: false, ref: { name: 'a', version: one.version }, problem: 'altered', code: 'DAMAGED', chunk: 0 },
      { ok: false, ref: { name: 'b', version: two.version }, problem: 'altered', code: 'DAMAGED', chunk: 0 },
    ])
    expect(await codeOf(archive.get(one).then(({ body }) => bytesOf(body)))).toBe('DAMAGED')
  })
})

describe('an export', () => {
  it('is a tar with bodies, manifests, proofs that verify, and the trail', async () => {
    const archive = await place.open()
    const body = noise(CHUNK_BYTES + 5)
    const evil = await archive.put('../../etc/passwd', body, { retain: '1y', meta: { a: 1 } })
    await archive.put('=cmd|"x"', 'two', { type: 'text/plain' })
    await archive.hold(evil, '=1+1, "quoted"', { reason: 'line\nbreak' })
    const files = new Map<string, Uint8Array>()
    const entries = archive.export({}, { format: 'tar' }).pipeThrough(createTarDecoder({ strict: true }))
    for await (const { header, body: stream } of entries as unknown as AsyncIterable<{
      header: { name: string }
      body: ReadableStream<Uint8Array>
    }>)
      files.set(header.name, await bytesOf(stream))
    const text = (name: string): string => new TextDecoder().decode(files.get(name))
    expect([...files.keys()].every((name) => !name.includes('..') && !name.startsWith('/'))).toBe(true)
    expect(Buffer.compare(files.get(`objects/${evil.version}/body`)!, body)).toBe(0)
    const trust = JSON.parse(text('trust.json')) as Trust
    expect(trust).toEqual(archive.trust())
    const proof = text(`objects/${evil.version}/proof.tlog-proof`)
    expect((await verifyProof(proof, body, trust)).name).toBe('../../etc/passwd')
    const lines = text('audit-000001.jsonl').trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { act: string }).act)).toEqual(['put', 'put', 'hold'])
    const csv = text('audit-000001.csv')
    expect(csv).toContain(`"'=1+1, ""quoted"""`)
    expect(csv).toContain(`"'=cmd|""x"""`)
    const [first] = text('index-000001.jsonl').split('\n')
    expect(JSON.parse(first!)).toMatchObject({ name: '../../etc/passwd', holds: ['=1+1, "quoted"'], meta: { a: 1 } })
    const csvProofs = archive.export({ prefix: 'none' }, { format: 'tar', proofs: 'omit' })
    expect((await bytesOf(csvProofs)).length % 512).toBe(0)
    // A part of an archive tells of nothing else: of what has the prefix, or was chosen.
    const other = await archive.put('=cmd/2', 'three', { subject: 's' })
    await archive.dispose(other, { reason: 'gone' })
    for (const [query, acts] of [
      [{ prefix: '=cmd' }, ['put', 'put', 'dispose']],
      [{ hold: '=1+1, "quoted"' }, ['put', 'hold']],
    ] as const) {
      const part = await textOf(archive.export(query, { format: 'tar', proofs: 'omit' }))
      expect([...part.matchAll(/"act":"(\w+)"/g)].map(([, act]) => act)).toEqual(acts)
      expect(part.includes('etc/passwd')).toBe('hold' in query)
    }
    expect(() => archive.export({}, { format: 'rar' as never })).toThrow(/BAD_ARGUMENT/)
    expect(() => archive.export({}, { format: 'toString' as never })).toThrow(/BAD_ARGUMENT/)
    expect(await textOf((await archive.get('=cmd|"x"')).body)).toBe('two')
  })

  it('is the same as a zip, for those who have no tar', async () => {
    const archive = await place.open()
    const body = noise(CHUNK_BYTES + 5)
    const { version, digest } = await archive.put('a', body)
    const folder = mkdtempSync(join(tmpdir(), 'ate-worm-zip-'))
    try {
      writeFileSync(join(folder, 'a.zip'), await bytesOf(archive.export({}, { format: 'zip' })))
      const script = `
import sys, zipfile, hashlib
z = zipfile.ZipFile(sys.argv[1])
print(z.testzip(), sorted(z.namelist()), hashlib.sha256(z.read(sys.argv[2])).hexdigest())`
      const args = ['-c', script, join(folder, 'a.zip'), `objects/${version}/body`]
      const { stdout, error } = spawnSync('python3', args, { encoding: 'utf8' })
      if (error) return console.warn('python3 is not on this machine: the zip is not looked into')
      const names = ['README.txt', 'audit-000001.csv', 'audit-000001.jsonl', 'index-000001.jsonl']
      const own = ['body', 'manifest.json', 'proof.tlog-proof'].map((name) => `objects/${version}/${name}`)
      const shown = [...names, ...own, 'trust.json'].map((name) => `'${name}'`).join(', ')
      expect(stdout.trim()).toBe(`None [${shown}] ${digest}`)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('fails as a stream when what it reads fails', async () => {
    const archive = await place.open()
    await archive.put('a', 'body')
    for (const format of ['tar', 'zip'] as const) {
      const stopping = new AbortController()
      const stream = archive.export({}, { format, signal: stopping.signal })
      stopping.abort(new Error('enough'))
      await expect(bytesOf(stream)).rejects.toThrow('enough')
    }
  })
})
