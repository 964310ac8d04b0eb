/**
 * A real browser for tests: the sources bundled for a page, served by this process on the loopback interface, and opened
 * in headless Chromium with a profile of its own, so that what a page stores is on a disk and outlives it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { FLAGS, findChromium } from '../../../../scripts/lib/chromium.ts'
import type { Calls } from './page/page.ts'

export class Browser {
  readonly #server: Server
  readonly #profile: string
  #context: BrowserContext
  readonly origin: string

  private constructor(parts: {
    readonly server: Server
    readonly profile: string
    readonly context: BrowserContext
    readonly origin: string
  }) {
    this.#server = parts.server
    this.#profile = parts.profile
    this.#context = parts.context
    this.origin = parts.origin
  }

  static async start(): Promise<Browser> {
    const server = await serve(await bundle())
    const profile = mkdtempSync(join(tmpdir(), 'ate-chromium-'))
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return new Browser({ server, profile, context: await launch(profile), origin })
  }

  get context(): BrowserContext {
    return this.#context
  }

  /** A tab of the origin. */
  async open(): Promise<Page> {
    const page = await this.#context.newPage()
    await page.goto(this.origin)
    return page
  }

  /** The browser ends and begins again on the same profile. */
  async restart(): Promise<void> {
    await this.#context.close()
    this.#context = await launch(this.#profile)
  }

  async close(): Promise<void> {
    await this.#context.close()
    this.#server.close()
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

type Run = (...args: never[]) => unknown
type RunOf<G extends keyof Calls, N extends keyof Calls[G]> = Extract<Calls[G][N], Run>

/** Runs one of the page's calls. */
export function call<G extends keyof Calls, N extends keyof Calls[G] & string>(
  page: Page,
  group: G,
  name: N,
  ...args: Parameters<RunOf<G, N>>
): Promise<Awaited<ReturnType<RunOf<G, N>>>> {
  return page.evaluate(([inGroup, wanted, given]) => Reflect.get(globalThis, 'calls')[inGroup][wanted](...given), [
    group,
    name,
    args,
  ] as const)
}

/**
 * Nothing in the page runs any more, as in one that the browser has frozen; gives what thaws it. (What freezes pages, browsers
 * do to hidden ones only, and tests have none.)
 */
export async function freeze(context: BrowserContext, page: Page): Promise<() => Promise<void>> {
  const session = await context.newCDPSession(page)
  await session.send('Debugger.enable')
  const paused = new Promise((resolve) => session.once('Debugger.paused', resolve))
  session.send('Runtime.evaluate', { expression: 'debugger' }).catch(() => undefined)
  await paused
  return async () => {
    await session.send('Debugger.resume')
    await session.detach()
  }
}

/** A browser on a profile of its own, that keeps what its pages store. */
export function launch(profile: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(profile, { executablePath: findChromium()!, args: [...FLAGS] })
}

async function bundle(): Promise<string> {
  const entry = fileURLToPath(new URL('./page/page.ts', import.meta.url))
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    platform: 'browser',
    conditions: ['@ate/source', 'browser'],
    logLevel: 'error',
  })
  return outputFiles[0]!.text
}

/** Any path is the page. */
function serve(script: string): Promise<Server> {
  const server = createServer((request, response) => {
    const isScript = request.url === '/page.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? script : '<!doctype html><link rel="icon" href="data:,"><script src="/page.js"></script>')
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}
