// The page of examples/todo in a real browser, with its Node program as a process. Skipped where there is no Chromium.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findChromium } from '../../../../scripts/lib/chromium.ts'
import { freeze, launch } from './chromium.ts'
import { TodoProgram } from './todo-program.ts'

/** Two programs begin, on a machine that may be busy. */
const START_MS = 60_000
const WAIT = { timeout: 30_000, interval: 20 } as const

describe.runIf(findChromium())('the list of two tabs and a program', () => {
  let folder: string
  let program: TodoProgram
  let context: BrowserContext

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ate-todo-'))
    ;[program, context] = await Promise.all([TodoProgram.start(folder), launch(join(folder, 'profile'))])
  }, START_MS)
  afterAll(async () => {
    await context.close()
    expect(await program.stop()).toBe(0)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }, START_MS)

  const open = async (address: string): Promise<Page> => {
    const page = await context.newPage()
    await page.goto(address)
    return page
  }
  const openList = async (address = program.origin): Promise<Page> => {
    const page = await open(address)
    await expect.poll(() => stateOf(page), WAIT).toBe('online')
    await expect.poll(() => page.locator('#text').isEnabled(), WAIT).toBe(true)
    await isSent(page)
    return page
  }
  /** The network of one tab; gives what brings it back. */
  const cutOff = async (page: Page): Promise<() => Promise<void>> => {
    const session = await context.newCDPSession(page)
    const set = async (offline: boolean): Promise<void> => {
      const none = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 }
      await session.send('Network.emulateNetworkConditions', { offline, ...none })
      await expect.poll(() => stateOf(page), WAIT).toBe(offline ? 'offline' : 'online')
    }
    await session.send('Network.enable')
    await set(true)
    return () => set(false)
  }
  const crash = async (page: Page): Promise<void> => {
    const crashed = new Promise((resolve) => page.once('crash', resolve))
    const session = await context.newCDPSession(page)
    session.send('Page.crash').catch(() => undefined)
    await crashed
  }

  it('lets in who has the invitation, and nobody else', async () => {
    const stranger = await open(program.origin)
    await expect.poll(() => stranger.locator('#note').textContent(), WAIT).toMatch(/not let in/)
    await stranger.goto(`${program.origin}/#invitation=wrong`)
    await expect.poll(() => stranger.locator('#note').textContent(), WAIT).toMatch(/not valid/)
    await stranger.close()
    const guest = await openList(program.link)
    expect(guest.url()).toBe(`${program.origin}/`)
    await guest.close()
  })

  it('shows everybody what the others do', async () => {
    const [a, b] = [await openList(), await openList()]
    await add(a, 'milk')
    await add(b, 'bread')
    program.type('tea')
    for (const page of [a, b])
      await expect.poll(async () => (await textsOf(page)).sort(), WAIT).toEqual(['bread', 'milk', 'tea'])
    await a.getByLabel('bread', { exact: true }).check()
    await expect.poll(() => b.getByLabel('bread', { exact: true }).isChecked(), WAIT).toBe(true)
    await b.getByRole('button', { name: 'Remove milk' }).click()
    for (const page of [a, b])
      await expect.poll(async () => (await textsOf(page)).sort(), WAIT).toEqual(['bread', 'tea'])
    await expect
      .poll(() => program.printed, WAIT)
      .toEqual(
        expect.arrayContaining(['created: [ ] milk', 'created: [ ] bread', 'created: [ ] tea', 'changed: [x] bread']),
      )
    expect(await a.locator('#count').textContent()).toBe('1 of 2 items to do')
    await a.close()
    await b.close()
  })

  it('works without a connection, and sends what was kept', async () => {
    const page = await openList()
    const reconnect = await cutOff(page)
    await add(page, 'kept')
    await page.getByLabel('kept', { exact: true }).check()
    await page.getByRole('button', { name: 'Remove tea' }).click()
    expect(await textsOf(page)).toEqual(['bread', 'kept'])
    // The tick builds on what has not come back: it waits in the tab.
    await waitsFor(page, '3 changes to send, 1 not kept yet')
    await reconnect()
    await expect.poll(() => program.printed, WAIT).toContain('changed: [x] kept')
    expect(await textsOf(page)).toEqual(['bread', 'kept'])
    expect(await page.locator('#note').isHidden()).toBe(true)
    // A copy that is opened alone keeps nothing behind what is left in the outbox.
    await isSent(page)
    await page.close()
  })

  it('opens without any network, shows its copy, and keeps what is written', async () => {
    const before = await openList()
    await before.evaluate(async () => void (await navigator.serviceWorker.ready))
    await before.close()
    await context.setOffline(true)
    const page = await open(program.origin)
    await expect.poll(() => textsOf(page), WAIT).toEqual(['bread', 'kept'])
    expect(await stateOf(page)).toBe('offline')
    // A second tab reads the copy beside the first, which has it.
    const second = await open(program.origin)
    await expect.poll(() => textsOf(second), WAIT).toEqual(['bread', 'kept'])
    await page.evaluate(slowDown)
    await add(page, 'written meanwhile')
    await waitsFor(page, '1 change to send')
    await add(second, 'and in the second')
    await waitsFor(second, '1 change to send')
    await page.close()
    await crash(second)
    await second.close()
    await context.setOffline(false)
    const next = await openList()
    const both = ['bread', 'kept', 'and in the second', 'written meanwhile']
    await expect.poll(async () => (await textsOf(next)).sort(), WAIT).toEqual([...both].sort())
    for (const text of ['written meanwhile', 'and in the second']) {
      expect(program.printed.filter((line) => line === `created: [ ] ${text}`)).toHaveLength(1)
      await next.getByRole('button', { name: `Remove ${text}` }).click()
    }
    await expect.poll(() => textsOf(next), WAIT).toEqual(['bread', 'kept'])
    await isSent(next)
    await next.close()
  })

  it('tells of a change that came too late', async () => {
    // Of another origin, and so of another browser as far as it matters: under an identity of its own, with its own connection.
    const [a, b] = [await openList(), await openList(program.link.replace('127.0.0.1', 'localhost'))]
    const reconnect = await cutOff(a)
    await a.getByLabel('bread', { exact: true }).uncheck()
    await b.getByRole('button', { name: 'Remove bread' }).click()
    await expect.poll(() => textsOf(b), WAIT).toEqual(['kept'])
    expect(await textsOf(a)).toEqual(['bread', 'kept'])
    await reconnect()
    await expect.poll(() => a.locator('#note').textContent(), WAIT).toMatch(/^Your change of “bread” was not made/)
    await expect.poll(() => textsOf(a), WAIT).toEqual(['kept'])
    await a.close()
    await b.close()
  })

  it('has one connection for all tabs, which another takes over with what the first has kept', async () => {
    const sockets: Page[] = []
    const watched = async (): Promise<Page> => {
      const page = await context.newPage()
      page.on('websocket', () => sockets.push(page))
      await page.goto(program.origin)
      await expect.poll(() => stateOf(page), WAIT).toBe('online')
      await expect.poll(() => page.locator('#text').isEnabled(), WAIT).toBe(true)
      return page
    }
    const [a, b, c] = [await watched(), await watched(), await watched()]
    expect(sockets).toEqual([a])
    // Without the leader's network none of them has any, and each keeps what is written in it.
    await cutOff(a)
    for (const page of [b, c]) await expect.poll(() => stateOf(page), WAIT).toBe('offline')
    await add(a, 'of the leader')
    await add(b, 'of the second')
    await add(c, 'of the third')
    for (const page of [a, b, c]) await waitsFor(page, '1 change to send')
    // The one that would lead next first: the test counts who has led.
    await crash(b)
    await crash(a)
    await isSent(c)
    const all = ['kept', 'of the leader', 'of the second', 'of the third']
    await expect.poll(async () => (await textsOf(c)).sort(), WAIT).toEqual(all)
    expect(new Set(sockets)).toEqual(new Set([a, c]))
    for (const text of all.slice(1)) {
      expect(program.printed.filter((line) => line === `created: [ ] ${text}`)).toHaveLength(1)
      await c.getByRole('button', { name: `Remove ${text}` }).click()
    }
    await expect.poll(() => textsOf(c), WAIT).toEqual(['kept'])
    for (const page of [a, b, c]) await page.close()
  })

  // As long as a leader may be silent; browser.test.ts freezes one in each run.
  it.runIf(process.env['ATE_SEEDS_NET'])('goes on when the tab that has the connection is frozen', async () => {
    const [a, b] = [await openList(), await openList()]
    const thaw = await freeze(context, a)
    await add(b, 'thawed')
    await expect.poll(() => program.printed, WAIT).toContain('created: [ ] thawed')
    await thaw()
    await expect.poll(() => textsOf(a), WAIT).toEqual(['kept', 'thawed'])
    await a.getByRole('button', { name: 'Remove thawed' }).click()
    await expect.poll(() => textsOf(b), WAIT).toEqual(['kept'])
    await a.close()
    await b.close()
  })

  it('sends what a tab has kept that was killed without a connection', async () => {
    const page = await openList()
    await cutOff(page)
    await add(page, 'survivor')
    await waitsFor(page, '1 change to send')
    await crash(page)
    await page.close()
    const next = await openList()
    await expect.poll(() => program.printed, WAIT).toContain('created: [ ] survivor')
    await expect.poll(() => textsOf(next), WAIT).toEqual(['kept', 'survivor'])
    await next.close()
  })

  it('goes on from the copy in the database, and heals it when it is damaged', async () => {
    const page = await openList()
    const texts = await textsOf(page)
    await page.goto('about:blank')
    await page.goto(`${program.origin}/style.css`)
    const before = await page.evaluate(recordsOfCopy)
    expect(before.length).toBeGreaterThan(10)
    await page.evaluate(damageCopy)
    expect(await page.evaluate(recordsOfCopy)).not.toEqual(before)
    await page.goto(program.origin)
    await expect.poll(() => textsOf(page), WAIT).toEqual(texts)
    await page.goto(`${program.origin}/style.css`)
    const healed = await page.evaluate(recordsOfCopy)
    expect(healed.slice(0, before.length)).toEqual(before)
    await page.close()
  })
})

// These run in the page.

/** As on a slow disk: what is written takes a third of a second, and is lost with its tab until then. */
function slowDown(): void {
  const begin = IDBDatabase.prototype.transaction
  IDBDatabase.prototype.transaction = function (this: IDBDatabase, ...args) {
    const tx = begin.apply(this, args)
    if (args[1] !== 'readwrite') return tx
    const store = tx.objectStore(tx.objectStoreNames[0]!)
    const until = performance.now() + 333
    const hold = (): void => {
      if (performance.now() < until) store.count().onsuccess = hold
    }
    hold()
    return tx
  }
}

/** How many commits the outbox of this browser has. */
async function countOutbox(): Promise<number> {
  const db = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open('ate:state')
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const names = await new Promise<IDBValidKey[]>((resolve, reject) => {
    const request = db.transaction('entries').objectStore('entries').getAllKeys()
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  db.close()
  return names.filter((name) => String(name).startsWith('outbox/')).length
}

/** Of each record that the copy has, its bytes in short. */
async function recordsOfCopy(): Promise<string[]> {
  const db = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open('ate:log:todo')
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const records = await new Promise<Uint8Array<ArrayBuffer>[]>((resolve, reject) => {
    const request = db.transaction('records').objectStore('records').getAll()
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  db.close()
  const hashes = records.map(async (record) => new Uint8Array(await crypto.subtle.digest('SHA-256', record)))
  return (await Promise.all(hashes)).map((hash) => hash.join())
}

/** Turns a bit of each of its records; what was verified before is forgotten, so that they are read. */
async function damageCopy(): Promise<void> {
  const db = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open('ate:log:todo')
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const tx = db.transaction(['records', 'log'], 'readwrite')
  tx.objectStore('log').delete('snapshot')
  const request = tx.objectStore('records').openCursor()
  request.onsuccess = () => {
    const cursor = request.result
    if (!cursor) return
    const record: Uint8Array = cursor.value
    record[record.length - 1]! ^= 1
    cursor.update(record)
    cursor.continue()
  }
  await new Promise((resolve, reject) => {
    tx.oncomplete = resolve
    tx.onabort = reject
  })
  db.close()
}

async function add(page: Page, text: string): Promise<void> {
  await page.locator('#text').fill(text)
  await page.locator('#text').press('Enter')
  await expect.poll(() => textsOf(page), WAIT).toContain(text)
}

/** What the page says of its changes. Only without `not kept yet` it may be killed: they are on the disk by then. */
async function waitsFor(page: Page, changes: string): Promise<void> {
  await expect.poll(() => page.locator('#connection').textContent(), WAIT).toBe(`Offline: ${changes}`)
}

/** Nothing that this browser has kept waits any more. */
async function isSent(page: Page): Promise<void> {
  await expect.poll(() => page.evaluate(countOutbox), WAIT).toBe(0)
}

function textsOf(page: Page): Promise<string[]> {
  return page.locator('#items li span').allTextContents()
}

function stateOf(page: Page): Promise<string | null> {
  return page.locator('#connection').getAttribute('data-state')
}
