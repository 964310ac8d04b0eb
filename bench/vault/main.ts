/**
 * `npm run bench -- vault [--scale 0.1] [--only S1] [--json FILE]`
 * Rows S1 to S3 of the vault on a file, each beside a bare commit or a plain file with its sync in the same run, and beside
 * age-encryption and dotenvx where they are installed. Scale 1 lists 100,000 secrets and revokes one of 500 members.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { type Chain, createIdentity, defineType, type Identity, openChain } from '@ate/core'
import { vault } from '@ate/vault'
import { installPeers } from '../install.ts'
import { quantile } from '../quantile.ts'
import { COMMON_OPTIONS, makeDataFolder } from '../run.ts'
import { type SecretStore, storesBeside } from './peers.ts'

const { values } = parseArgs({ allowPositionals: true, options: COMMON_OPTIONS })
const SCALE = Number(values.scale)
const ROUNDS = Number(values.runs)
const CALLS = 200
/** Calls of each kind before the first that is timed: the first ones run code that nothing has compiled. */
const WARM = 1000
const found: Record<string, Record<string, number>> = {}
const VALUE = { url: 'postgres://app:correct-horse-battery-staple@db.internal:5432/app' }
const Plain = defineType<typeof VALUE>('plain')
const folder = makeDataFolder()

/** Puts beside bare commits, in turns; then gets of what was put. */
async function singleCalls(): Promise<void> {
  const chain = await opened('single', await createIdentity())
  const secrets = vault(chain)
  const names = Array.from({ length: CALLS }, (_, i) => `prod/service-${i}/db`)
  const taken = { commit: new Taken(), put: new Taken(), get: new Taken() }
  const commit = (): Promise<void> => chain.transact((tx) => void tx.create(Plain, VALUE))
  const put = (path: string): Promise<unknown> => secrets.secret<typeof VALUE>(path).put(VALUE)
  const get = async (path: string): Promise<void> => {
    using one = await secrets.secret<typeof VALUE>(path).get()
    if (one.value.url !== VALUE.url) throw new Error('another value')
  }
  for (const path of names) await put(path)
  for (let i = 0; i < WARM; i++) await get(names[i % CALLS]!)
  for (let i = 0; i < CALLS; i++) await commit()
  for (let round = 0; round < ROUNDS; round++) {
    for (const path of names) {
      await taken.commit.time(commit)
      await taken.put.time(() => put(path))
    }
    for (let again = 0; again < 5; again++) for (const path of names) await taken.get.time(() => get(path))
  }
  await chain.close()
  const ratio = taken.put.p50 / taken.commit.p50
  tell('S1 a bare commit', taken.commit.figures)
  tell('S1 put', { ...taken.put.figures, 'times a commit': ratio })
  tell('S1 get', taken.get.figures)
  installPeers()
  for (const store of await storesBeside(join(folder, 'peers'))) await beside(store, names)
}

async function beside(store: SecretStore, names: readonly string[]): Promise<void> {
  const [put, get] = [new Taken(), new Taken()]
  for (const name of names.slice(0, store.calls)) await put.time(() => store.put(name, JSON.stringify(VALUE)))
  for (const name of names.slice(0, store.calls)) await get.time(() => store.get(name))
  tell(`   put ${store.name}`, put.figures)
  tell(`   get ${store.name}`, get.figures)
}

/** Cold: by a process that has just opened the chain. */
async function listing(): Promise<void> {
  const count = Math.round(100_000 * SCALE)
  const as = await createIdentity()
  let chain = await opened('many', as)
  const secrets = vault(chain)
  const started = performance.now()
  for (let i = 0; i < count; i += 1000) {
    await chain.transact(async (tx) => {
      for (let j = i; j < Math.min(count, i + 1000); j++)
        await secrets.secret(`app-${j % 100}/service-${j}/token`).put(`token ${j}`, { tx })
    })
  }
  const written = performance.now() - started
  await chain.close()
  const opening = performance.now()
  chain = await opened('many', as)
  const open = performance.now() - opening
  const cold = new Taken()
  const warm = new Taken()
  const afterPut = new Taken()
  const list = async (): Promise<void> => {
    let seen = 0
    for await (const _ of vault(chain).list()) seen++
    if (seen !== listed) throw new Error(`${seen} of ${listed}`)
  }
  let listed = count
  await cold.time(list)
  for (let i = 0; i < 5; i++) await warm.time(list)
  for (let i = 0; i < 5; i++) {
    await vault(chain).secret(`app-1/one more ${i}`).put('token')
    listed++
    await afterPut.time(list)
  }
  await chain.close()
  tell(`S2 ${count} secrets`, { 'written ms': written, 'opened ms': open })
  tell('   listed cold', cold.once)
  tell('   listed warm', warm.once)
  tell('   listed after a put', afterPut.once)
}

async function revocation(): Promise<void> {
  const count = Math.max(3, Math.round(500 * SCALE))
  const chain = await opened('members', await createIdentity())
  const secrets = vault(chain)
  const role = secrets.role('deploy')
  await role.allow('prod/**', ['list', 'read'])
  for (let i = 0; i < 20; i++) await secrets.secret(`prod/${i}`).put(`value ${i}`)
  const members: Identity[] = []
  for (let i = 0; i < count; i++) members.push(await createIdentity())
  const adding = performance.now()
  // At most 256 in a role.
  const roles = Math.ceil(count / 250)
  for (let r = 0; r < roles; r++) {
    const one = r === 0 ? role : secrets.role(`deploy-${r}`)
    if (r > 0) await one.allow('prod/**', ['list', 'read'])
    for (const member of members.slice(r * 250, (r + 1) * 250)) await one.add(member.publicId)
  }
  const added = performance.now() - adding
  const taken = new Taken()
  for (const member of members.slice(0, 9)) await taken.time(() => role.remove(member.publicId))
  await chain.close()
  tell(`S3 one of ${count} members revoked`, {
    'added ms': added,
    'p50 ms': taken.p50,
    'ms at most': taken.max,
    'CPU ms': taken.cpuMs,
  })
}

class Taken {
  readonly #ms: number[] = []
  #cpuMicros = 0

  async time(run: () => Promise<unknown>): Promise<void> {
    const cpu = process.cpuUsage()
    const started = performance.now()
    await run()
    this.#ms.push(performance.now() - started)
    const { user, system } = process.cpuUsage(cpu)
    this.#cpuMicros += user + system
  }

  get p50(): number {
    return quantile(this.#ms, 0.5)
  }

  get max(): number {
    return Math.max(...this.#ms)
  }

  get cpuMs(): number {
    return this.#cpuMicros / 1000 / this.#ms.length
  }

  get once(): Record<string, number> {
    return { 'p50 ms': this.p50, 'least ms': Math.min(...this.#ms), 'CPU ms': this.cpuMs }
  }

  get figures(): Record<string, number> {
    return { 'p50 ms': this.p50, 'p99 ms': quantile(this.#ms, 0.99), 'CPU ms': this.cpuMs }
  }
}

async function opened(name: string, as: Identity): Promise<Chain> {
  mkdirSync(folder, { recursive: true })
  return openChain(`file:${join(folder, name)}`, { as })
}

function tell(row: string, figures: Record<string, number>): void {
  found[row.trim()] = figures
  const text = Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(value < 10 ? 3 : 0)}`)
  console.log(`${row.padEnd(42)}${text.join('   ')}`)
}

console.log(
  `node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model}), load ${loadavg()[0]?.toFixed(1)}`,
)
const rows = { S1: singleCalls, S2: listing, S3: revocation }
try {
  for (const [name, run] of Object.entries(rows)) if (name.includes(values.only)) await run()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(found, null, 2)}\n`)
