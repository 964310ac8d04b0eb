/**
 * `npm run bench -- worm [--scale 0.1] [--only A1,A4] [--json FILE]`
 * Rows A1 to A4 of the archive, each beside what bounds it on this machine in the same run: AES-256-GCM, SHA-256, and a plain
 * file with its sync. Scale 1 puts 1 GB. A path is made and followed in a tree of 10 million records, whatever the scale.
 */
import { createCipheriv, createHash, randomFillSync } from 'node:crypto'
import { fdatasyncSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { createIdentity, openChain } from '@ate/core'
import { verifyProof, worm } from '@ate/worm'
import { makeDataFolder } from '../run.ts'
import { simulatedTree } from './tree.ts'

const { values } = parseArgs({
  allowPositionals: true,
  options: { scale: { type: 'string', default: '1' }, only: { type: 'string' }, json: { type: 'string' } },
})
const MB = 1_000_000
const BYTES = Math.round(Number(values.scale) * 1000) * MB
const PIECE = 1024 * 1024
const RECORDS = 10_000_000
const only = values.only?.split(',')
const wants = (...rows: readonly string[]): boolean => !only || rows.some((row) => only.includes(row))
const found: Record<string, Record<string, number>> = {}

console.log(
  `node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model}), load ${loadavg()[0]?.toFixed(1)}`,
)
const folder = makeDataFolder()
try {
  await benchWorm()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(found, null, 2)}\n`)

async function benchWorm(): Promise<void> {
  if (wants('A1', 'A2', 'A3')) await benchBodies()
  if (wants('A4')) await benchProofs()
}

async function benchBodies(): Promise<void> {
  const cpu = await timedWith(async () => void aesRate())
  const bare = { aes: aesRate(), sha: shaRate(), disk: await diskRate() }
  tell('alone', {
    'AES-256-GCM MB/s': bare.aes,
    'SHA-256 MB/s': bare.sha,
    'file and sync MB/s': bare.disk,
    'AES CPU ms/MB': cpu.cpuPerMB,
  })
  const chain = await openChain(`file:${join(folder, 'archive')}`, { as: await createIdentity() })
  const archive = worm(chain, { defaults: { mode: 'compliance', retain: '6y' } })
  for (const name of ['plain', 'of a subject']) {
    const memory = peakMemory()
    const {
      ms: put,
      cpuPerMB,
      mainPerMB,
    } = await timedWith(() => archive.put(name, body(), name === 'plain' ? {} : { subject: 's' }))
    const bound = Math.min(bare.aes, bare.disk)
    tell(`A1 put ${name}`, {
      'MB/s': rate(put),
      'of the smaller': rate(put) / bound,
      'CPU ms/MB': cpuPerMB,
      'of the main thread': mainPerMB,
      'peak MB over before': memory(),
    })
  }
  const memory = peakMemory()
  const got = await timedWith(async () => {
    const { body: stream } = await archive.get('plain')
    for await (const _ of stream as unknown as AsyncIterable<Uint8Array>);
  })
  tell('A2 get', { 'MB/s': rate(got.ms), 'CPU ms/MB': got.cpuPerMB, 'peak MB over before': memory() })
  const looked = await timedWith(async () => {
    for await (const finding of archive.fsck({ deep: true })) if (!finding.ok) throw new Error(JSON.stringify(finding))
  })
  tell('A3 fsck --deep, two objects and the log', {
    'MB/s': (2 * BYTES) / MB / (looked.ms / 1000),
    'CPU ms/MB': looked.cpuPerMB / 2,
  })
  await chain.close()
}

/** In processor time, since nothing of it waits: of a log of some records, and the paths of a tree that is as large as aimed at. */
async function benchProofs(): Promise<void> {
  const chain = await openChain(`file:${join(folder, 'deeds')}`, { as: await createIdentity() })
  const archive = worm(chain)
  for (let i = 0; i < 100; i++) await archive.put(`other ${i}`, 'another deed')
  await archive.put('small', 'a deed')
  await archive.checkpoint()
  const proof = await archive.prove('small')
  const made = await each(() => archive.prove('small'))
  const verified = await each(() => verifyProof(proof, 'a deed', archive.trust()))
  tell('A4 proof in this log', { 'made CPU ms': made, 'verified CPU ms': verified })
  await chain.close()
  const tree = simulatedTree(RECORDS)
  tell('A4 path, simulated tree', tree)
  tell('A4 both', { 'made and verified CPU ms': made + verified + tree['made CPU ms']! + tree['verified CPU ms']! })
}

async function* body(): AsyncGenerator<Uint8Array> {
  const piece = randomFillSync(new Uint8Array(PIECE))
  for (let left = BYTES; left > 0; left -= PIECE) yield left < PIECE ? piece.subarray(0, left) : piece
}

function aesRate(): number {
  const [key, piece] = [randomFillSync(new Uint8Array(32)), randomFillSync(new Uint8Array(PIECE))]
  const started = performance.now()
  for (let done = 0, n = 0; done < BYTES; done += PIECE, n++) {
    const nonce = new Uint8Array(12)
    new DataView(nonce.buffer).setUint32(0, n)
    const cipher = createCipheriv('aes-256-gcm', key, nonce)
    cipher.update(piece)
    cipher.final()
  }
  return rate(performance.now() - started)
}

function shaRate(): number {
  const piece = randomFillSync(new Uint8Array(PIECE))
  const started = performance.now()
  const hash = createHash('sha256')
  for (let done = 0; done < BYTES; done += PIECE) hash.update(piece)
  hash.digest()
  return rate(performance.now() - started)
}

/** One sync at the end, as a put has. */
async function diskRate(): Promise<number> {
  const path = join(folder, 'plain')
  const file = await open(path, 'w')
  const piece = randomFillSync(new Uint8Array(PIECE))
  const started = performance.now()
  for (let done = 0; done < BYTES; done += PIECE) await file.write(piece)
  fdatasyncSync(file.fd)
  const ms = performance.now() - started
  await file.close()
  rmSync(path)
  return rate(ms)
}

/** Samples the resident memory until it is called: how far it rose, in MB. */
function peakMemory(): () => number {
  const before = process.memoryUsage().rss
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss)
  }, 20)
  return () => {
    clearInterval(timer)
    return (most - before) / MB
  }
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await run()
  return performance.now() - started
}

/** And the processor's time, which says more where other programs run: ms for a MB. */
async function timedWith(
  run: () => Promise<unknown>,
): Promise<{ readonly ms: number; readonly cpuPerMB: number; readonly mainPerMB: number }> {
  // Of Node 23.9 and later; the types are older.
  const { threadCpuUsage } = process as unknown as { readonly threadCpuUsage: typeof process.cpuUsage }
  const [all, main] = [process.cpuUsage(), threadCpuUsage()]
  const ms = await timed(run)
  const perMB = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1000 / (BYTES / MB)
  return { ms, cpuPerMB: perMB(process.cpuUsage(all)), mainPerMB: perMB(threadCpuUsage(main)) }
}

/** Processor ms of one, in the fastest of 20 rounds: others on the machine make the rest slower. */
async function each(run: () => Promise<unknown>): Promise<number> {
  let fastest = Number.POSITIVE_INFINITY
  for (let round = 0; round < 20; round++) {
    const before = process.cpuUsage()
    for (let i = 0; i < 20; i++) await run()
    const { user, system } = process.cpuUsage(before)
    fastest = Math.min(fastest, (user + system) / 1000 / 20)
  }
  return fastest
}

function rate(ms: number): number {
  return BYTES / MB / (ms / 1000)
}

function tell(row: string, figures: Record<string, number>): void {
  found[row] = figures
  const text = Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(value < 10 ? 3 : 0)}`)
  console.log(`${row.padEnd(42)}${text.join('   ')}`)
}
