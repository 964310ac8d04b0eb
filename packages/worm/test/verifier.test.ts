/** A verifier in Python, written from the documents, agrees with ours on proofs, and finds what was altered. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fourWitnesses, newPlace, type Place } from './kit.ts'

const program = join(import.meta.dirname, 'verify_proof.py')
const hasPython = spawnSync('python3', ['--version']).status === 0
if (!hasPython) console.log('python3 is not on this machine: the independent verifier is not run.')

describe.skipIf(!hasPython)('a verifier that shares no code', () => {
  let place: Place
  let folder = ''
  let proof = ''
  let log = ''
  let witnesses: readonly string[] = []
  const body = 'Subject: hi'

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ate-worm-proof-'))
    place = newPlace()
    const four = fourWitnesses(place.platform)
    witnesses = four.witnesses.keys
    const archive = await place.open({ witnesses: four.witnesses })
    await archive.put('before', 'x')
    const stored = await archive.put('mail/1', body, { mode: 'compliance', retain: '6y' })
    await archive.put('behind', 'y')
    await archive.checkpoint({ cosign: four.cosign(archive.chain.now) })
    proof = await archive.prove(stored, { witnesses: four.witnesses })
    log = archive.trust().log
  })
  afterAll(async () => {
    await place.close()
    rmSync(folder, { recursive: true, force: true })
  })

  function verdict(
    given: { log?: string; proof?: string; body?: string; quorum?: number; witnesses?: readonly string[] } = {},
  ): string {
    writeFileSync(join(folder, 'proof'), given.proof ?? proof)
    writeFileSync(join(folder, 'body'), given.body ?? body)
    const trusted = [String(given.quorum ?? 3), ...(given.witnesses ?? witnesses)]
    const files = [join(folder, 'proof'), join(folder, 'body')]
    return spawnSync('python3', [program, given.log ?? log, ...files, ...trusted], { encoding: 'utf8' }).stdout.trim()
  }

  /** The proof with one thing in `extra` changed. */
  function altered(change: (extra: { manifest: string; proof: Record<string, never> }) => void): string {
    const [whole, encoded] = /^extra (.*)$/m.exec(proof)!
    const extra = JSON.parse(Buffer.from(encoded!, 'base64').toString())
    change(extra)
    return proof.replace(whole, `extra ${Buffer.from(JSON.stringify(extra)).toString('base64')}`)
  }

  it('verifies a proof, with the cosignatures of a quorum', () => {
    expect(verdict()).toMatch(/^ok: mail\/1, compliance until \d+, index \d+ of \d+, 3 witnesses$/)
    expect(verdict({ quorum: 0, witnesses: [] })).toMatch(/^ok: mail\/1, .* 0 witnesses$/)
  })

  it('finds another body, another log, too few witnesses, and bytes that differ', () => {
    expect(verdict({ body: 'Subject: ho' })).toContain('the body')
    expect(verdict({ quorum: 4 })).toContain('the quorum of the witnesses')
    const other = newPlace(undefined, 2)
    expect(verdict({ log: fourWitnesses(other.platform).witnesses.keys[0]! })).toContain('the type of a key')
    expect(verdict({ proof: proof.replace(/index \d+/, 'index 1') })).toContain('the number of the record')
    expect(verdict({ proof: altered((extra) => Object.assign(extra, { manifest: `${extra.manifest} ` })) })).toContain(
      'a lock that carries the hash of the manifest',
    )
  })

  it.each(['head', 'signature', 'rides'])('finds a flipped bit in the %s of the commit', (field) => {
    const bad = altered(({ proof }) => {
      const commit = (proof as Record<string, Record<string, string>>)['commit']!
      const bytes = Buffer.from(commit[field]!, 'base64')
      bytes[bytes.length >> 1]! ^= 1
      commit[field] = bytes.toString('base64')
    })
    expect(verdict({ proof: bad })).toMatch(/^bad: /)
  })

  it('finds a flipped bit in the checkpoint and in a cosignature', () => {
    const lines = proof.split('\n')
    for (const line of lines.filter((text) => text.startsWith('\u2014'))) {
      const space = line.lastIndexOf(' ')
      const bytes = Buffer.from(line.slice(space + 1), 'base64')
      bytes[40]! ^= 1
      expect(verdict({ proof: proof.replace(line, line.slice(0, space + 1) + bytes.toString('base64')) })).toMatch(
        /signature/,
      )
    }
  })
})
