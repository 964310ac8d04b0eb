// In a real browser, with what it stores on a disk. Skipped where there is no Chromium.
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findChromium } from '../../../../scripts/lib/chromium.ts'
import { Browser, call, freeze } from './chromium.ts'
import type { Opened } from './page/chains.ts'
import type { Outcome } from './page/runner.ts'

/** A browser begins, on a machine that may be busy. */
const START_MS = 60_000
const WAIT = { timeout: 30_000, interval: 20 } as const
const found = findChromium()
if (found === undefined) console.warn('no Chromium here: the tests in a browser are skipped (ATE_CHROMIUM names one)')

describe.runIf(found)('in Chromium', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await Browser.start()
  }, START_MS)
  afterAll(() => browser?.close(), START_MS)

  const tab = (): Promise<Page> => browser.open()
  /** Its renderer ends as by kill -9. */
  const crash = async (page: Page): Promise<void> => {
    const crashed = new Promise((resolve) => page.once('crash', resolve))
    const session = await browser.context.newCDPSession(page)
    session.send('Page.crash').catch(() => undefined)
    await crashed
  }

  it('keeps the contract of log engines on IndexedDB', async () => {
    const page = await tab()
    expectPassed(await call(page, 'suites', 'logEngine'), 20)
    await page.close()
  })

  it('keeps the contract of state stores', async () => {
    const page = await tab()
    expectPassed(await call(page, 'suites', 'stateStore'), 5)
    await page.close()
  })

  it('has algorithms of its own that agree with ours', async () => {
    const page = await tab()
    expectPassed((await call(page, 'suites', 'webCrypto')).outcomes, 10)
    expectPassed(await call(page, 'suites', 'platformCrypto'), 2)
    await page.close()
  })

  it('keeps a chain, its writer and the identity over a reload and a new start', async () => {
    const page = await tab()
    const first = opened(await call(page, 'chains', 'open', 'kept'))
    expect(await call(page, 'chains', 'add', 'kept', ['a', 'b'])).toEqual({ done: 2, code: '' })
    await page.reload()
    const second = opened(await call(page, 'chains', 'open', 'kept'))
    expect([second.id, second.identity, second.writers]).toEqual([first.id, first.identity, 1])
    expect(await call(page, 'chains', 'texts', 'kept')).toEqual(['a', 'b'])
    await call(page, 'chains', 'add', 'kept', ['c'])
    await browser.restart()
    const later = await tab()
    const third = opened(await call(later, 'chains', 'open', 'kept'))
    expect([third.id, third.identity, third.writers]).toEqual([first.id, first.identity, 1])
    expect(await call(later, 'chains', 'texts', 'kept')).toEqual(['a', 'b', 'c'])
    expect((await call(later, 'chains', 'verify', 'kept')).ok).toBe(true)
    expect(await call(later, 'chains', 'known')).toEqual(['indexeddb:kept there'])
    await later.close()
  })

  it('lets one tab write, others read beside it, and the next one write when it is gone', async () => {
    const [a, b] = [await tab(), await tab()]
    const { id } = opened(await call(a, 'chains', 'open', 'shared'))
    await call(a, 'chains', 'add', 'shared', ['from a'])
    expect(await call(b, 'chains', 'open', 'shared')).toBe('CHAIN_LOCKED')
    expect(await call(b, 'chains', 'destroy', 'shared')).toBe('CHAIN_LOCKED')
    expect(opened(await call(b, 'chains', 'open', 'shared', { readOnly: true })).id).toBe(id)
    expect(await call(b, 'chains', 'texts', 'shared')).toEqual(['from a'])
    await call(a, 'chains', 'add', 'shared', ['more'])
    await call(b, 'chains', 'refresh', 'shared')
    expect(await call(b, 'chains', 'texts', 'shared')).toEqual(['from a', 'more'])
    // The writer compacts: what the reader knew of places no longer counts.
    await call(a, 'chains', 'replace', 'shared', 3)
    expect((await call(a, 'chains', 'readWhileCompacting', 'shared'))[0]).toBeGreaterThan(0)
    await call(b, 'chains', 'refresh', 'shared')
    expect(await call(b, 'chains', 'texts', 'shared')).toEqual(['from a...', 'more...'])
    await a.close()
    await call(b, 'chains', 'close', 'shared')
    await expect.poll(() => call(b, 'chains', 'open', 'shared'), WAIT).toMatchObject({ id })
    expect(await call(b, 'chains', 'add', 'shared', ['from b'])).toEqual({ done: 1, code: '' })
    await b.close()
  })

  it('reads on while the log is compacted, and goes on from a snapshot', async () => {
    const page = await tab()
    await call(page, 'chains', 'open', 'long')
    const texts = Array.from({ length: 50 }, (_, i) => `${i} `.repeat(500))
    expect(await call(page, 'chains', 'addTogether', 'long', texts)).toBe(undefined)
    await call(page, 'chains', 'replace', 'long', 4)
    // Opened again, nothing is in memory: bodies are read from the database while their records are put anew.
    await call(page, 'chains', 'close', 'long')
    await call(page, 'chains', 'open', 'long')
    const [freed, reads] = await call(page, 'chains', 'readWhileCompacting', 'long')
    expect(freed).toBeGreaterThan(100_000)
    expect(reads).toBeGreaterThan(0)
    const now = texts.map((text) => `${text}....`)
    expect(await call(page, 'chains', 'texts', 'long')).toEqual(now)
    for (let i = 0; i < 10; i++) await call(page, 'chains', 'addLarge', 'long')
    await call(page, 'chains', 'close', 'long')
    const { snapshot } = opened(await call(page, 'chains', 'open', 'long'))
    expect(snapshot).toBeGreaterThan(10)
    expect((await call(page, 'chains', 'texts', 'long')).slice(0, 50)).toEqual(now)
    await page.close()
  })

  it('loses nothing that was acknowledged when the tab is killed', async () => {
    for (let round = 0; round < 2; round++) {
      const page = await tab()
      const name = `killed-${round}`
      await call(page, 'chains', 'open', name)
      let acknowledged = 0
      const enough = new Promise<void>((resolve) => {
        void page
          .exposeFunction('acknowledged', (count: number) => {
            acknowledged = count
            if (count >= 10 + 7 * round) resolve()
          })
          .then(() => page.evaluate((n) => void Reflect.get(globalThis, 'calls').chains.addForever(n), name))
      })
      await enough
      await crash(page)
      const next = await tab()
      await expect.poll(() => call(next, 'chains', 'open', name), WAIT).toMatchObject({ writers: 1 })
      const found = await call(next, 'chains', 'texts', name)
      expect(found.length).toBeGreaterThanOrEqual(acknowledged)
      expect(found).toEqual(Array.from({ length: found.length }, (_, i) => `note ${i}`))
      expect((await call(next, 'chains', 'verify', name)).ok).toBe(true)
      expect(await call(next, 'chains', 'add', name, ['more'])).toEqual({ done: 1, code: '' })
      await next.close()
      await page.close()
    }
  })

  it('stops a writer that another one has replaced', async () => {
    const [a, b] = [await tab(), await tab()]
    await call(a, 'chains', 'open', 'stolen')
    await call(b, 'databases', 'stealLock', 'stolen')
    // The browser tells it when it comes to it; until another one opens the chain, its writes count.
    await expect.poll(async () => (await call(a, 'chains', 'add', 'stolen', ['a'])).code).toBe('WRITER_FENCED')
    expect(typeof (await call(b, 'chains', 'open', 'stolen'))).toBe('object')
    await call(b, 'databases', 'raiseEpoch', 'stolen')
    expect((await call(b, 'chains', 'add', 'stolen', ['b'])).code).toBe('WRITER_FENCED')
    await a.close()
    await b.close()
  })

  it('raises an alarm for a database that is gone, older, or changed', async () => {
    const page = await tab()
    await call(page, 'chains', 'open', 'gone')
    await call(page, 'chains', 'add', 'gone', ['a'])
    await call(page, 'chains', 'close', 'gone')
    await call(page, 'databases', 'keep', 'gone')
    await call(page, 'databases', 'remove', 'gone')
    expect(await call(page, 'chains', 'open', 'gone')).toBe('CHAIN_GONE')
    await call(page, 'databases', 'putBack', 'gone')
    const { seq } = opened(await call(page, 'chains', 'open', 'gone'))
    await call(page, 'chains', 'add', 'gone', ['b'])
    await call(page, 'chains', 'close', 'gone')
    await call(page, 'databases', 'putBack', 'gone')
    expect(await call(page, 'chains', 'open', 'gone')).toBe('ROLLBACK')
    await call(page, 'databases', 'flip', 'gone', seq)
    expect(await call(page, 'chains', 'open', 'gone')).toBe('DAMAGED')
    await page.close()
  })

  it('stops when the browser takes everything away, and does not take an empty place for the chain', async () => {
    const page = await tab()
    const { id } = opened(await call(page, 'chains', 'open', 'evicted'))
    await call(page, 'chains', 'add', 'evicted', ['a'])
    const session = await browser.context.newCDPSession(page)
    await session.send('Storage.clearDataForOrigin', { origin: browser.origin, storageTypes: 'all' })
    expect((await call(page, 'chains', 'add', 'evicted', ['b'])).code).toMatch(/^(IO_ERROR|WRITER_POISONED)$/)
    await call(page, 'chains', 'close', 'evicted')
    expect(await call(page, 'chains', 'open', 'evicted', { id })).toBe('CHAIN_NOT_FOUND')
    await page.close()
  })

  it('keeps no secret where a script or a copy of the files can read it', async () => {
    const page = await tab()
    await call(page, 'chains', 'open', 'secret')
    await call(page, 'chains', 'add', 'secret', ['a'])
    const { names, bytes, key } = await call(page, 'databases', 'stolenState')
    expect(key).toBe('InvalidAccessError')
    expect(names).toContain('identity')
    expect(names.some((name) => name.startsWith('certificates/'))).toBe(true)
    expect(bytes).toContain('indexeddb:secret')
    expect(bytes.toLowerCase()).not.toContain('identity')
    expect(bytes).not.toContain('seed')
    // What stands there unsealed, or sealed under another name, is not taken for a secret.
    await call(page, 'chains', 'close', 'secret')
    for (const how of ['plain', 'swapped'] as const) {
      await call(page, 'databases', 'plantIdentity', how)
      await page.reload()
      expect(await call(page, 'chains', 'open', 'secret')).toBe('DAMAGED')
    }
    await call(page, 'databases', 'removeState')
    await page.close()
  })

  it('moves a chain to another database, and destroys one', async () => {
    const page = await tab()
    await call(page, 'chains', 'open', 'from')
    await call(page, 'chains', 'add', 'from', ['a'])
    await call(page, 'chains', 'close', 'from')
    expect(await call(page, 'chains', 'push', 'from', 'to')).toBeGreaterThan(1)
    expect(await call(page, 'chains', 'open', 'from')).toBe('CHAIN_MOVED')
    const { id } = opened(await call(page, 'chains', 'open', 'to'))
    expect(await call(page, 'chains', 'texts', 'to')).toEqual(['a'])
    await call(page, 'chains', 'close', 'to')
    expect(await call(page, 'chains', 'destroy', 'to')).toBe(id)
    expect(await call(page, 'chains', 'destroy', 'to')).toBe('CHAIN_NOT_FOUND')
    await page.close()
  })

  it('keeps the contract of transports between tabs', async () => {
    const page = await tab()
    expectPassed(await call(page, 'tabs', 'sockets'), 20)
    await page.close()
  })

  it('puts down a leader that is frozen, which then follows', async () => {
    const [a, b] = [await tab(), await tab()]
    await call(a, 'tabs', 'join', 'cold', 'a')
    await expect.poll(() => call(a, 'tabs', 'isLeader', 'cold'), WAIT).toBe(true)
    await call(b, 'tabs', 'join', 'cold', 'b')
    expect(await call(b, 'tabs', 'dial', 'cold')).toBe('connected')
    const thaw = await freeze(browser.context, a)
    await expect.poll(async () => (await call(b, 'tabs', 'heard')).end, WAIT).toBe(1006)
    expect(await call(b, 'tabs', 'dial', 'cold')).toBe('leads')
    await thaw()
    await expect.poll(() => call(a, 'tabs', 'isLeader', 'cold'), WAIT).toBe(false)
    expect(await call(a, 'tabs', 'dial', 'cold')).toBe('connected')
    await call(b, 'tabs', 'leave', 'cold')
    await expect.poll(() => call(a, 'tabs', 'isLeader', 'cold'), WAIT).toBe(true)
    await a.close()
    await b.close()
  })

  it('has one leader of several tabs, and another when its tab is killed or leaves', async () => {
    const [a, b, c] = [await tab(), await tab(), await tab()]
    await call(a, 'tabs', 'join', 'group', 'a')
    await expect.poll(() => call(a, 'tabs', 'isLeader', 'group'), WAIT).toBe(true)
    await call(b, 'tabs', 'join', 'group', 'b')
    expect(await call(b, 'tabs', 'dial', 'group')).toBe('connected')
    await call(b, 'tabs', 'say', 'hello')
    await expect.poll(() => call(b, 'tabs', 'heard'), WAIT).toEqual({ answers: ['a true hello'], end: undefined })
    await call(c, 'tabs', 'join', 'group', 'c')
    expect(await call(c, 'tabs', 'dial', 'group')).toBe('connected')
    // Its end cannot say so any more: the others hear of it all the same, and the next one leads.
    await crash(a)
    await expect.poll(() => call(b, 'tabs', 'heard'), WAIT).toEqual({ answers: ['a true hello'], end: 1006 })
    expect(await call(c, 'tabs', 'dial', 'group')).toBe('connected')
    await call(c, 'tabs', 'say', 'again')
    await expect.poll(() => call(c, 'tabs', 'heard'), WAIT).toEqual({ answers: ['b true again'], end: undefined })
    expect(await call(c, 'tabs', 'isLeader', 'group')).toBe(false)
    await call(b, 'tabs', 'leave', 'group')
    await expect.poll(async () => (await call(c, 'tabs', 'heard')).end, WAIT).toBe(4001)
    await expect.poll(() => call(c, 'tabs', 'isLeader', 'group'), WAIT).toBe(true)
    expect(await call(c, 'tabs', 'dial', 'group')).toBe('leads')
    await call(c, 'tabs', 'leave', 'group')
    await b.close()
    await c.close()
  })

  it('says what a place may be', async () => {
    const page = await tab()
    for (const place of [
      'indexeddb:',
      'indexeddb://notes',
      'indexeddb:a b',
      `indexeddb:${'a'.repeat(101)}`,
      'file:./x',
    ])
      expect(await call(page, 'chains', 'codeOfPlace', place)).toBe('BAD_URL')
    await page.close()
  })

  it('says that there is no space, keeps nothing of the write, and goes on when there is', async () => {
    // Chromium asks for the quota again some time after it has; a new one asks at once.
    await browser.restart()
    const page = await tab()
    const session = await browser.context.newCDPSession(page)
    const { usage = 0 } = await page.evaluate(() => navigator.storage.estimate())
    await session.send('Storage.overrideQuotaForOrigin', { origin: browser.origin, quotaSize: usage + 2_000_000 })
    await call(page, 'chains', 'open', 'full')
    await call(page, 'chains', 'add', 'full', ['a'])
    const large = Array.from({ length: 40 }, (_, i) => String.fromCharCode(65 + i).repeat(20_000))
    let code: string | undefined
    for (let i = 0; i < 20 && code === undefined; i++) code = await call(page, 'chains', 'addTogether', 'full', large)
    expect(code).toBe('DISK_FULL')
    const before = await call(page, 'chains', 'texts', 'full')
    await session.send('Storage.overrideQuotaForOrigin', { origin: browser.origin })
    expect(await call(page, 'chains', 'add', 'full', ['b'])).toEqual({ done: 1, code: '' })
    expect(await call(page, 'chains', 'texts', 'full')).toEqual([...before, 'b'])
    await page.close()
  })
})

function opened(answer: Opened | string): Opened {
  if (typeof answer === 'string') throw new Error(`the chain was not opened: ${answer}`)
  return answer
}

/** At least `least` tests, none of which failed. */
function expectPassed(outcomes: readonly Outcome[], least: number): void {
  expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
  expect(outcomes.length).toBeGreaterThanOrEqual(least)
}
