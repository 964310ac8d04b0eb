/**
 * The queue and the bus in a browser page, at a server that another process shares: the page adds a job and hears of the
 * event that is in the same commit as its "done". Skipped where there is no Chromium.
 * @newest-node-only: a server needs native post-quantum code to be quick
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bus } from '@ate/bus'
import { createIdentity, openChain, role } from '@ate/core'
import { type Served, serve } from '@ate/core/server'
import { queue } from '@ate/queue'
import { build } from 'esbuild'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FLAGS, findChromium } from '../../../scripts/lib/chromium.ts'
import type { Calls } from './kits-page.ts'

const chromiumPath = findChromium()

describe.runIf(chromiumPath)('in a page', () => {
  let folder: string
  let server: Served
  let pages: Server
  let browser: Browser
  let origin = ''

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ate-kits-'))
    server = await serve({ listen: 'ws://127.0.0.1:0/db', data: folder })
    const { outputFiles } = await build({
      entryPoints: [join(import.meta.dirname, 'kits-page.ts')],
      bundle: true,
      write: false,
      format: 'iife',
      target: 'es2022',
      platform: 'browser',
      conditions: ['@ate/source', 'browser'],
      logLevel: 'error',
    })
    const script = outputFiles[0]!.text
    pages = createServer((_request, response) => {
      response.setHeader('content-type', 'text/html; charset=utf-8')
      response.end(
        `<!doctype html><link rel="icon" href="data:,"><script>${script.replaceAll('</script', '<\\/script')}</script>`,
      )
    })
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve))
    const address = pages.address()
    origin = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
    browser = await chromium.launch({ executablePath: chromiumPath!, args: [...FLAGS] })
  }, 60_000)
  afterAll(async () => {
    await browser.close()
    pages.close()
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  it('adds a job, awaits its result, and hears of the event of its commit', async () => {
    const page = await browser.newPage()
    await page.goto(origin)
    const call = <N extends keyof Calls>(
      name: N,
      ...given: Parameters<Calls[N]>
    ): Promise<Awaited<ReturnType<Calls[N]>>> =>
      page.evaluate(([wanted, parts]) => Reflect.get(globalThis, 'calls')[wanted](...parts), [name, given] as const)
    const guest = await call('identity')

    const url = `${server.url}/shop`
    const serverKey = server.fingerprint
    const me = await createIdentity()
    const chain = await openChain(url, { as: me, serverKey, create: true })
    await chain.transact((tx) => {
      tx.role('all').add(me.publicId)
      tx.role('all').add(guest)
      tx.setPolicy('0'.repeat(26), { read: [role('all')], write: [role('all')] })
    })
    const events = bus<{ 'mail.sent': { to: string } }>(chain)
    const mails = queue<{ to: string }, string>(chain, 'mails')
    const ran: string[] = []
    const worker = mails.work(async (job) => {
      ran.push(job.data.to)
      await events.publish('mail.sent', { to: job.data.to }, { tx: job.tx })
      return `sent to ${job.data.to}`
    })
    const added = await call('add', { url, id: chain.id, serverKey }, 'a@example.org')
    expect([added, ran]).toEqual([{ result: 'sent to a@example.org', again: true }, ['a@example.org']])
    await expect.poll(() => call('heard'), { timeout: 20_000, interval: 20 }).toEqual(['a@example.org'])
    await call('close')
    await worker.stop()
    await chain.close()
  })
})
