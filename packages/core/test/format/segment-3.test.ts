/**
 * The frozen chain whose log has a segment of format 3, which stands for two: every later version reads it and goes on with it.
 * Its bytes never change; merged-scenario.ts wrote them.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { verifyPlace } from '../../src/data/verify-place.ts'
import { crc32 } from '../../src/log/crc32.ts'
import { decodeSegmentHeader } from '../../src/log/file-frame.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { maker, writeMerged } from './merged-scenario.ts'
import { diskPlatform, Note } from './scenario.ts'

const frozen = new URL('../vectors/segment-3/chain', import.meta.url).pathname
const ID = 'daamgq8z7ds1zgcfm3krqjq877znfmcek5xq2aj2cgfgdf8ck470'
const HEAD = 'f00d9951c0e2004f42d678dfb26a65f78e81240ed8c85e0d5cafe33e0c7c51cc'
const SEGMENTS = ['seg-000000.ate', 'seg-000002.ate', 'seg-000003.ate']

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-segment-3-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const segmentsOf = (path: string): string[] => readdirSync(path).filter((name) => name.startsWith('seg-'))

describe('a log with a segment of format 3', () => {
  it('is what merging leaves', async () => {
    const path = join(folder, 'written')
    await writeMerged(path, nodeProvider())
    for (const at of [path, frozen]) {
      expect(segmentsOf(at)).toEqual(SEGMENTS)
      const header = decodeSegmentHeader(readFileSync(join(at, SEGMENTS[0]!)), crc32)
      expect(header).toMatchObject({ format: 3, number: 0, span: 2 })
    }
  })

  it.each([nodeProvider(), nobleProvider])('verifies, is read, and goes on ($name)', async (crypto) => {
    const path = join(folder, crypto.name)
    cpSync(frozen, path, { recursive: true })
    const platform = diskPlatform(1, crypto)
    const report = await verifyPlace(`file:${path}`, {}, platform)
    expect(report).toMatchObject({ ok: true, chain: ID, records: 9, problems: [] })
    expect(toHex(report.head!.hash)).toBe(HEAD)
    const chain = await openChain(`file:${path}`, { as: maker(crypto) }, platform)
    expect((await chain.named(Note, 'note'))!.value).toEqual({ text: 'the last one' })
    for (let i = 0; i < 3; i++) {
      for (const size of [9000, 5000]) await chain.transact((tx) => tx.put(Note, 'note', { text: `${i}`.repeat(size) }))
      await chain.compact()
    }
    await chain.close()
    expect(segmentsOf(path)).toEqual(['seg-000000.ate', 'seg-000005.ate', 'seg-000006.ate'])
    expect(await verifyPlace(`file:${path}`, {}, platform)).toMatchObject({ ok: true, chain: ID, problems: [] })
  })

  it.skipIf(spawnSync('python3', ['--version']).status !== 0)('verifies by docs/FORMAT.md', () => {
    const program = new URL('verify.py', import.meta.url).pathname
    const { stdout } = spawnSync('python3', [program, frozen], { encoding: 'utf8' })
    expect(stdout).toBe(`ok: 9 records, 7 commits attested, chain ${ID}, head ${HEAD}\n`)
  })
})
