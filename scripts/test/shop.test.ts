/**
 * examples/shop is killed, part by part and as a whole, while customers order; afterwards its books balance, and nothing
 * was lost or done twice. `npm run test:long` kills it 200 times.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Asked, buy, look, ShopProgram } from './shop-program.ts'

const KILLS = Number(process.env['ATE_SHOP_KILLS'] ?? 8)
const CUSTOMERS = 4
const CENTS = 450
const TEST_MS = Math.max(120_000, KILLS * 20_000)
/** Between a kill and the next one, in ms: long enough for orders to get through, short enough to hit what starts again. */
const PAUSE_MS = 400

interface Books {
  readonly waiting: number
  readonly shipped: number
  readonly turnover: number
  readonly balanced: boolean
}
interface Audit {
  readonly orders: Readonly<Record<string, { readonly state: string; readonly tracking?: string }>>
  readonly problems: readonly string[]
}

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-shop-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))

it('is killed part by part, over a server with two workers', { timeout: TEST_MS }, async () => {
  const program = await ShopProgram.start({ folder, processes: 'many' })
  const asked = await whileBuying(program.origin, async () => {
    const names = ['server', 'web', 'worker 1', 'worker 2']
    for (let i = 0; i < KILLS; i++) {
      await program.killPart(names[i % 4]!)
      await setTimeout(Math.random() * PAUSE_MS)
    }
  })
  await expectOnce(program.origin, asked)
  expect(await program.stop()).toBe(0)
})

it('is killed as a whole, in one process on a file', { timeout: TEST_MS }, async () => {
  let program = await ShopProgram.start({ folder, processes: 'one' })
  const { port, origin } = program
  const asked = await whileBuying(origin, async () => {
    for (let i = 0; i < Math.ceil(KILLS / 4); i++) {
      await setTimeout(Math.random() * PAUSE_MS)
      await program.kill()
      program = await ShopProgram.start({ folder, processes: 'one', port })
    }
  })
  await expectOnce(origin, asked)
  expect(await program.stop()).toBe(0)
})

async function whileBuying(origin: string, run: () => Promise<void>): Promise<Asked[]> {
  const closing = new AbortController()
  const customers = Array.from({ length: CUSTOMERS }, () => buy(origin, closing.signal, CENTS))
  try {
    await run()
  } finally {
    closing.abort()
  }
  return (await Promise.all(customers)).flat()
}

/** Everything that was answered is there once, in every kit and at the carrier, and nothing else. */
async function expectOnce(origin: string, asked: readonly Asked[]): Promise<void> {
  const taken = asked.filter(({ status }) => status === 201 || status === 200)
  expect(new Set(asked.map(({ status, cents }) => `${cents} ${Math.floor(status / 100)}`))).toEqual(
    new Set([`${CENTS} 2`, ...(asked.some(({ cents }) => cents === 0) ? ['0 4'] : [])]),
  )
  const turnover = taken.length * CENTS
  await expect
    .poll(() => look<Books>(origin, '/books'), { timeout: 60_000, interval: 100 })
    .toMatchObject({ waiting: 0, shipped: taken.length, turnover, balanced: true })
  const { orders, problems } = await look<Audit>(origin, '/audit')
  expect(problems).toEqual([])
  expect(Object.keys(orders).sort()).toEqual(taken.map(({ id }) => id).sort())
  const sent = readFileSync(join(folder, 'data', 'parcels'), 'utf8')
    .split('\n')
    .filter((line) => line.endsWith('}'))
  const parcels = sent.map((line) => (JSON.parse(line) as { tracking: string }).tracking)
  expect(parcels.sort()).toEqual(
    Object.values(orders)
      .map(({ tracking }) => tracking)
      .sort(),
  )
}
