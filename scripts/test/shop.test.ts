/**
 * examples/shop is killed, part by part and as a whole, while customers order; afterwards its books balance, and nothing
 * was lost or done twice: 20 kills; 250 in `npm run test:long`.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { ShopPage, type Shown } from './shop-page.ts'
import { type Asked, bundleShop, Customers, look, ShopProgram } from './shop-program.ts'

const KILLS = Number(process.env['ATE_SHOP_KILLS'] ?? 16)
const TEST_MS = Math.max(400_000, KILLS * 40_000)
/** For a machine that is busy. */
const HOOK_MS = 60_000
/** Kills of parts for each of the whole. */
const PARTS = 4
/** Orders that are answered between two kills, so that there is something to lose. */
const ORDERS_BETWEEN = 4
/** At most, in ms: so that a kill hits any moment of an order's way. */
const PAUSE_MS = 100

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
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-shop-'))
  await bundleShop(folder)
}, HOOK_MS)
afterEach(() => ShopProgram.killAll(), HOOK_MS)
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))

it('is killed part by part, over a server with two workers', { timeout: TEST_MS }, async () => {
  const program = await ShopProgram.start({ folder, data: 'many', processes: 'many' })
  const page = await ShopPage.open(program.origin, join(folder, 'profile'))
  const customers = new Customers(program.origin)
  const names = ['worker 1', 'server', 'web', 'worker 2']
  for (let i = 0; i < KILLS; i++) {
    // Of each five kills the last finds the shop still coming back from the one before.
    if (i % 5 !== 4) await customers.served(ORDERS_BETWEEN)
    await setTimeout(Math.random() * PAUSE_MS)
    await program.killPart(names[i % names.length]!)
  }
  await customers.served(ORDERS_BETWEEN)
  const asked = await customers.leave()
  if (page) asked.push(await page.order({ item: 'coffee', pieces: '2' }))
  const shown = await expectOnce(program.origin, asked, 'many')
  // It has looked on all the time.
  await page?.expectShown(shown)
  await page?.close()
  expect(await program.stop()).toBe(0)
})

it('is killed as a whole, in one process on a file', { timeout: TEST_MS }, async () => {
  let program = await ShopProgram.start({ folder, data: 'one', processes: 'one' })
  const { port, origin } = program
  const customers = new Customers(origin)
  for (let i = 0; i < Math.ceil(KILLS / PARTS); i++) {
    await customers.served(ORDERS_BETWEEN)
    await setTimeout(Math.random() * PAUSE_MS)
    await program.kill()
    program = await ShopProgram.start({ folder, data: 'one', processes: 'one', port })
  }
  await customers.served(ORDERS_BETWEEN)
  await expectOnce(origin, await customers.leave(), 'one')
  expect(await program.stop()).toBe(0)
})

/** Everything that was answered is there once, in every kit and at the carrier, and nothing else. */
async function expectOnce(origin: string, asked: readonly Asked[], data: string): Promise<Shown> {
  const [taken, refused] = [asked.filter(({ cents }) => cents > 0), asked.filter(({ cents }) => cents === 0)]
  expect(taken.every(({ status }) => status === 201 || status === 200)).toBe(true)
  expect(refused.every(({ status }) => status === 402)).toBe(true)
  expect(refused.length).toBeGreaterThan(0)
  const turnover = taken.reduce((sum, { cents }) => sum + cents, 0)
  await expect
    .poll(() => look<Books>(origin, '/books'), { timeout: 120_000, interval: 100 })
    .toMatchObject({ waiting: 0, shipped: taken.length, turnover, balanced: true })

  const { orders, problems } = await look<Audit>(origin, '/audit')
  expect(problems).toEqual([])
  expect(Object.keys(orders).sort()).toEqual(taken.map(({ id }) => id).sort())
  const invoice = await fetch(`${origin}/invoices/${taken[0]!.id}`)
  expect(await invoice.text()).toContain(`Invoice of order ${taken[0]!.id}`)
  const lines = readFileSync(join(folder, data, 'parcels'), 'utf8').split('\n')
  const parcels = lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line) as { tracking: string })
  const trackingOf = ({ tracking }: { readonly tracking?: string }) => tracking
  expect(parcels.map(trackingOf).sort()).toEqual(Object.values(orders).map(trackingOf).sort())
  return { orders: taken.length, turnover }
}
