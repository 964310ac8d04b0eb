/** verify.py was written from docs/FORMAT.md, not from the code: where it and the library differ, one of the three is wrong. */
import { execFileSync, spawnSync } from 'node:child_process'
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

function verify(path: string): { readonly ok: boolean; readonly text: string } {
  const { status, stdout, stderr } = spawnSync('python3', [program, path], { encoding: 'utf8' })
  return { ok: status === 0, text: stdout + stderr }
}

/** A copy of the chain in which `change` has changed the segment. */
function changed(change: (segment: Uint8Array) => void): string {
  const copy = join(folder, 'copy')
  rmSync(copy, { recursive: true, force: true })
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
    const out = execFileSync('python3', [program, join(folder, 'chain')], { encoding: 'utf8' })
    const { chainId, head } = scenario
    expect(out).toBe(`ok: ${head.seq + 1} records, 5 commits attested, chain ${chainId}, head ${toHex(head.hash)}\n`)
  })

  it('verifies the frozen chain of format 1', () => {
    expect(verify(frozen).text).toMatch(/^ok: 12 records, 5 commits attested/)
  })

  it('finds a flipped byte in every frame', () => {
    const frames = framesOf(readFileSync(join(folder, 'chain', 'seg-000000.ate')))
    expect(frames.length).toBeGreaterThan(5)
    for (const [index, at] of frames.entries()) {
      const copy = changed((segment) => {
        segment[at + 8 + 37 * index]! ^= 1
      })
      expect(verify(copy), `frame ${index}`).toMatchObject({ ok: false })
    }
  })

  it('finds it by the hashes too, where the checksums were made to fit', () => {
    const whole = new Uint8Array(readFileSync(join(folder, 'chain', 'seg-000000.ate')))
    const found: string[] = []
    for (const at of framesOf(whole)) {
      const size = getU32(whole, at + 4)
      // The 36 bytes of a record's length and hash, and the padding, are the frame's own; the rest is the record.
      const last = at + FRAME_HEADER_BYTES + 36 + getU32(whole, at + FRAME_HEADER_BYTES) - 1
      for (const place of [
        at + FRAME_HEADER_BYTES + 36 + 41,
        Math.min(at + FRAME_HEADER_BYTES + 36 + 300, last),
        last,
      ]) {
        const { ok, text } = verify(
          changed((segment) => {
            segment[place]! ^= 1
            putU32(segment, at + 56, crc32(segment.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + size)))
            putU32(segment, at + 60, crc32(segment.subarray(at, at + 60)))
          }),
        )
        expect(ok, `byte ${place}`).toBe(false)
        found.push(text)
      }
    }
    expect(found.join('')).not.toMatch(/frame/)
    expect(found.join('')).toMatch(/hash of record/)
    expect(found.join('')).toMatch(/a body differs from its hash/)
    expect(found.join('')).toMatch(/root of a commit/)
  })
})
