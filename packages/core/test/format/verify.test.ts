/**
 * verify.py was written from docs/FORMAT.md, not from the code: where it and the library differ, one of the three is wrong.
 * It has two modules: folder.py reads the files, standards.py is what the RFCs say and Python's library lacks.
 *
 * @newest-node-only: the verifier is Python's, and format-1 and format-2 read the chains on every Node
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { openChain } from '../../src/data/open-chain.ts'
import type { Proof } from '../../src/data/proof-format.ts'
import { verifyProof } from '../../src/data/verify-proof.ts'
import { crc32 } from '../../src/log/crc32.ts'
import { FRAME_HEADER_BYTES, getU32, putU32, SEGMENT_HEADER_BYTES } from '../../src/log/file-frame.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { changesOf } from '../data/corrupt.ts'
import { diskPlatform, Note, type Scenario, writeScenario } from './scenario.ts'

const program = new URL('verify.py', import.meta.url).pathname
const frozen = new URL('../vectors/format-1/chain', import.meta.url).pathname
const hasPython = spawnSync('python3', ['--version']).status === 0
if (!hasPython) console.log('python3 is not on this machine: the independent verifier is not run.')

let folder = ''
let scenario: Scenario
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-verify-'))
  scenario = await writeScenario(join(folder, 'chain'), nodeProvider())
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What it says of each folder, a line each. */
function verify(...paths: readonly string[]): string[] {
  const { status, stdout, stderr } = spawnSync('python3', [program, ...paths], { encoding: 'utf8' })
  expect(stderr).toBe('')
  const lines = stdout.trimEnd().split('\n')
  expect(lines).toHaveLength(paths.length)
  expect(status).toBe(lines.every((line) => line.startsWith('ok: ')) ? 0 : 1)
  return lines
}

let copies = 0
/** A copy of the chain in which `change` has changed the segment. */
function changed(change: (segment: Uint8Array) => void): string {
  const copy = join(folder, `copy-${copies++}`)
  cpSync(join(folder, 'chain'), copy, { recursive: true })
  const file = join(copy, 'seg-000000.ate')
  const bytes = new Uint8Array(readFileSync(file))
  change(bytes)
  writeFileSync(file, bytes)
  return copy
}

/** Offsets of the frames. */
function framesOf(segment: Uint8Array): number[] {
  const frames: number[] = []
  for (let at = SEGMENT_HEADER_BYTES; at < segment.length; at += FRAME_HEADER_BYTES + getU32(segment, at + 4))
    frames.push(at)
  return frames
}

describe.skipIf(!hasPython)('an independent verifier', () => {
  it('has at most 150 lines of at most 120 characters', () => {
    const linesOf = (name: string): string[] =>
      readFileSync(new URL(name, import.meta.url), 'utf8')
        .trimEnd()
        .split('\n')
    expect(linesOf('verify.py').length).toBeLessThanOrEqual(150)
    for (const name of ['verify.py', 'folder.py', 'standards.py'])
      for (const line of linesOf(name)) expect(line.length).toBeLessThanOrEqual(120)
  })

  it('agrees with the library on a chain with every kind of record', () => {
    const { chainId, head } = scenario
    expect(verify(join(folder, 'chain'))).toEqual([
      `ok: ${head.seq + 1} records, 6 commits attested, chain ${chainId}, head ${toHex(head.hash)}`,
    ])
  })

  it('verifies the frozen chain of format 1', () => {
    expect(verify(frozen)[0]).toMatch(/^ok: 12 records, 5 commits attested/)
  })

  it('finds a flipped byte in every frame', () => {
    const frames = framesOf(readFileSync(join(folder, 'chain', 'seg-000000.ate')))
    expect(frames.length).toBeGreaterThan(5)
    const found = verify(
      ...frames.map((at, index) =>
        changed((segment) => {
          segment[at + 8 + 37 * index]! ^= 1
        }),
      ),
    )
    for (const line of found) expect(line).toMatch(/^bad: /)
  })

  it('finds it by the hashes too, where the checksums were made to fit', () => {
    const whole = new Uint8Array(readFileSync(join(folder, 'chain', 'seg-000000.ate')))
    const paths: string[] = []
    for (const at of framesOf(whole)) {
      const size = getU32(whole, at + 4)
      // The 36 bytes of a record's length and hash, and the padding, are the frame's own; the rest is the record.
      const first = at + FRAME_HEADER_BYTES + 36
      const last = first + getU32(whole, at + FRAME_HEADER_BYTES) - 1
      // The second frame holds a commit, whose signature is there.
      const signature = paths.length === 3 ? [first + 210] : []
      for (const place of [first + 41, Math.min(first + 300, last), last, ...signature]) {
        paths.push(
          changed((segment) => {
            segment[place]! ^= 1
            putU32(segment, at + 56, crc32(segment.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + size)))
            putU32(segment, at + 60, crc32(segment.subarray(at, at + 60)))
          }),
        )
      }
    }
    const found = verify(...paths)
    for (const line of found) expect(line).toMatch(/^bad: (?!.*frame)/)
    for (const what of [
      'hash of record',
      'a body differs from its hash',
      'root of a commit',
      'the chain id is that of the genesis',
      'signature of record',
    ])
      expect(found.join()).toContain(what)
  })

  it('verifies the chain when compaction has dropped bodies', async () => {
    const path = join(folder, 'compacted')
    const chain = await openChain(`file:${path}`, { as: scenario.alice }, diskPlatform(21, nodeProvider()))
    const notes = await chain.transact((tx) =>
      Array.from({ length: 20 }, (_, i) => tx.create(Note, { text: `${i}`.repeat(2000) })),
    )
    await chain.transact(async (tx) => {
      for (const { id } of notes.slice(3, 17)) await tx.update(Note, id, () => ({ text: 'short' }))
    })
    await chain.checkpoint()
    expect((await chain.compact()).records).toBeGreaterThan(0)
    await chain.close()
    expect(verify(path)[0]).toMatch(
      new RegExp(`^ok: ${chain.head.seq + 1} records, .* head ${toHex(chain.head.hash)}$`),
    )
    // A byte of a body that was kept: the hash of its slice finds it, once the checksums fit again.
    const file = join(path, 'seg-000000.ate')
    const bytes = new Uint8Array(readFileSync(file))
    const at = framesOf(bytes).find((frame) => getU32(bytes, frame + 4) > 8000)!
    const size = getU32(bytes, at + 4)
    const bodyAt = at + FRAME_HEADER_BYTES
    bytes[bodyAt + size - 3000]! ^= 1
    putU32(bytes, at + 56, crc32(bytes.subarray(bodyAt, bodyAt + size)))
    putU32(bytes, at + 60, crc32(bytes.subarray(at, at + 60)))
    writeFileSync(file, bytes)
    expect(verify(path)[0]).toMatch(/^bad: /)
  })

  it('agrees with the library on proofs, and refuses what it refuses', async () => {
    const { chainId, alice, ids } = scenario
    const chain = await openChain(
      `file:${join(folder, 'chain')}`,
      { as: alice, readOnly: true },
      diskPlatform(20, nodeProvider()),
    )
    const proofs: object[] = [
      await chain.prove({ record: 0 }),
      await chain.prove({ record: 1 }),
      await chain.prove({ entity: ids.box }, { ciphertext: 'include' }),
      await chain.prove({ entity: ids.changed }, { ciphertext: 'include' }),
    ]
    for await (const { kind, seq } of chain.records())
      if (kind === 'checkpoint') proofs.push(await chain.proveConsistency(seq))
    await chain.close()
    let tried = 0
    const files: string[] = []
    const expected: RegExp[] = []
    const add = (proof: unknown, says: RegExp): void => {
      const file = join(folder, `proof-${files.length}.json`)
      writeFileSync(file, JSON.stringify(proof))
      files.push(`${chainId}=${file}`)
      expected.push(says)
    }
    for (const proof of proofs) {
      const { kind } = verifyProof(proof as Proof, { chain: chainId }, { crypto: nodeProvider() })
      add(
        proof,
        kind === 'record' ? /^ok: record \d+, hash [0-9a-f]{64}, \d+ events$/ : /^ok: the first \d+ of \d+ records/,
      )
      for (const { path, value } of changesOf(proof)) {
        // Its ML-DSA part and what only the library reads.
        if (/attestation|\.keys|unknown field|run[RCI]|\.index|\.format/.test(path) || tried++ % 12 > 0) continue
        let refused = false
        try {
          verifyProof(value as Proof, { chain: chainId }, { crypto: nodeProvider() })
        } catch {
          refused = true
        }
        add(value, refused && !/certificate|\.commit$|transaction$|event/.test(path) ? /^bad: / : /^(ok|bad): /)
      }
    }
    const found = verify(...files)
    for (const [i, line] of found.entries()) expect(line, files[i]).toMatch(expected[i]!)
    expect(found.filter((line) => line.startsWith('bad')).length).toBeGreaterThan(50)
    expect(verify(files[0]!.replace(/^../, '00'))[0]).toMatch(/^bad: .*another chain/)
  })
})
