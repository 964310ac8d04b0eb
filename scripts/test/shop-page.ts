/** The page of examples/shop in a real browser. */
import type { BrowserContext, Page } from 'playwright-core'
import { expect } from 'vitest'
import { launch } from '../../packages/core/test/browser/chromium.ts'
import { findChromium } from '../lib/chromium.ts'
import type { Asked } from './shop-program.ts'

const WAIT = { timeout: 30_000, interval: 50 } as const
const COFFEE_CENTS = 720

/** What it has to show in the end. */
export interface Shown {
  readonly orders: number
  readonly turnover: number
}

export class ShopPage {
  readonly #context: BrowserContext
  readonly #page: Page
  readonly #errors: string[] = []

  private constructor(context: BrowserContext, page: Page) {
    this.#context = context
    this.#page = page
    page.on('pageerror', (error) => this.#errors.push(error.message))
  }

  /** Undefined where there is no Chromium. */
  static async open(origin: string, profile: string): Promise<ShopPage | undefined> {
    if (!findChromium()) return undefined
    const context = await launch(profile)
    const page = new ShopPage(context, await context.newPage())
    await page.#page.goto(origin)
    await page.#expectOnline()
    return page
  }

  /** By the form; resolves when it was answered. */
  async order({ item, pieces }: { readonly item: 'coffee'; readonly pieces: string }): Promise<Asked> {
    await this.#expectOnline()
    const answered = this.#page.waitForResponse((response) => response.url().endsWith('/orders'))
    await this.#page.getByLabel('Item').selectOption(item)
    await this.#page.getByLabel('Pieces').fill(pieces)
    await this.#page.getByRole('button', { name: 'Order' }).click()
    const response = await answered
    const { id } = response.request().postDataJSON() as { id: string }
    return { id, cents: COFFEE_CENTS * Number(pieces), status: response.status() }
  }

  async expectShown({ orders, turnover }: Shown): Promise<void> {
    const text = (id: string) => this.#page.locator(id).textContent()
    await expect.poll(() => text('#count'), WAIT).toBe(`${orders} of ${orders} shipped`)
    await expect.poll(() => text('#turnover'), WAIT).toBe((turnover / 100).toFixed(2))
    expect(await text('#balanced')).toBe('debits equal credits')
    const states = await this.#page.locator('#orders .state').allTextContents()
    expect(states.length).toBe(Math.min(orders, 200))
    expect(states.every((state) => state.startsWith('paid, shipped as '))).toBe(true)
    expect(this.#errors).toEqual([])
    const path = process.env['ATE_SHOP_SCREENSHOT']
    if (path) await this.#page.screenshot({ path, fullPage: true })
  }

  close(): Promise<void> {
    return this.#context.close()
  }

  #expectOnline(): Promise<void> {
    return expect.poll(() => this.#page.locator('#connection').getAttribute('data-state'), WAIT).toBe('online')
  }
}
