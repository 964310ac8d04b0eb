/** verify.py was written from docs/FORMAT.md, not from the code: where it and the library differ, one of the three is wrong. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { crc32 } from '../../src/log/crc32.ts'
import { FRAME_HEADER_BYTES, getU32, putU32, SEGMENT_HEADER_BYTES } from '../../src/log/file-frame.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { type Scenario, writeScenario } from './scenario.ts'

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
  it('has at most 200 lines', () => {
    expect(readFileSync(program, 'utf8').split('\n').length - 1).toBeLessThanOrEqual(200)
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
      for (const place of [first + 41, Math.min(first + 300, last), last]) {
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
      'the chain id is the label',
    ])
      expect(found.join()).toContain(what)
  })
})
