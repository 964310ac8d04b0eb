// In a real browser, with what it stores on a disk. Skipped where there is no Chromium.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser, call, findChromium } from './chromium.ts'
import type { Outcome } from './page/runner.ts'

const found = findChromium()
if (found === undefined) console.warn('no Chromium here: the tests in a browser are skipped (ATE_CHROMIUM names one)')

describe.runIf(found)('in Chromium', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await Browser.start()
  })
  afterAll(() => browser.close())

  it('keeps the contract of log engines on IndexedDB', async () => {
    const page = await browser.open()
    expectPassed(await call(page, 'logSuites'), 20)
    await page.close()
  })
})

/** At least `least` tests, none of which failed. */
function expectPassed(outcomes: readonly Outcome[], least: number): void {
  expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
  expect(outcomes.length).toBeGreaterThanOrEqual(least)
}
