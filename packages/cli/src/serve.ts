/** `ate serve`: what the arguments mean, and a server's life from its first line to the signal that ends it. */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import process from 'node:process'
import { AteError } from '@ate/core'
import type { Serve, Served, ServeOptions } from '@ate/core/server'
import { identityOf } from './acting.ts'
import { print, printable } from './output.ts'
import { newPassphrase } from './passphrase.ts'

/** As commander gives them. */
export interface ServeArguments {
  readonly url: string
  readonly listen?: readonly string[]
  readonly cert?: string
  readonly key?: string
  readonly connect?: readonly string[]
  readonly create?: readonly string[]
  readonly proxies?: readonly string[]
  readonly wireEncryption: 'on' | 'off' | false
  readonly durability: 'disk' | 'os'
  readonly keyAccess: 'open' | 'recorded'
  readonly compact: 'on' | 'off' | false
  readonly compactGrowth?: number
  readonly compactBytes?: number
  readonly compactEvery?: string
  readonly idle?: string
  readonly quotaChains?: number
  readonly quotaBytes?: number
  readonly nodesList?: readonly string[]
  readonly node?: string
  readonly metrics?: 'never' | 'loopback' | 'anyone'
  readonly follows?: readonly string[]
  readonly passphraseFile?: string
}

/** What a server needs of its process. */
export interface ServeHost {
  readonly serve: Serve
  /** SIGTERM and SIGINT. */
  readonly signals: Pick<NodeJS.Process, 'on' | 'off'>
  print(line: string): Promise<void>
  note(line: string): void
  /** Unix ms. */
  now(): number
  /** Ends at once. */
  exit(code: number): void
}

export async function serveCommand(path: string | undefined, given: ServeArguments): Promise<void> {
  const options = await serveOptions(path ?? (process.env['ATE_SERVE_PATH'] || 'served'), given)
  // Loaded when it is asked for: other commands do not wait for a server's code.
  const { serve } = await import('@ate/core/server')
  await runServer(options, {
    serve,
    signals: process,
    print,
    note: (line) => void process.stderr.write(`${line}\n`),
    now: () => Date.now(),
    exit: (code) => process.exit(code),
  })
}

/** Serves until a signal comes, or the server ends by itself, which is an error. */
export async function runServer(options: ServeOptions, host: ServeHost): Promise<void> {
  // From before it starts: a signal while it does is not lost.
  const stop = stopSignal(host)
  try {
    const server = await host.serve({ ...options, signal: stop.asked, observe: alarmsTo(host) })
    for (const line of startLines(server, options)) await host.print(line)
    await Promise.race([stop.stopped, server.closed])
    await server.close()
  } catch (error) {
    // It was told to end before it had begun.
    if (!stop.asked.aborted || error !== stop.asked.reason) throw error
  } finally {
    stop.forget()
  }
}

/** One that repeats, such as a full disk while clients try again, is a line a minute. */
const ALARM_EVERY_MS = 60_000
const ALARMS_MAX = 1000

/** What is wrong with a chain or a server of the ring, on stderr: clients are told a code and no more. */
function alarmsTo({ note, now }: Pick<ServeHost, 'note' | 'now'>): NonNullable<ServeOptions['observe']> {
  const noted = new Map<string, number>()
  return ({ chain, error }) => {
    const about = chain === undefined ? 'another server' : `chain ${chain}`
    const key = `${error.code} ${about}`
    const time = now()
    if (time - (noted.get(key) ?? Number.NEGATIVE_INFINITY) < ALARM_EVERY_MS) return
    if (noted.size >= ALARMS_MAX) noted.clear()
    noted.set(key, time)
    note(printable(`${new Date(time).toISOString()} ${about}: ${error.message}`))
  }
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const
/** What a shell says of a process that a signal ended. */
const EXIT_CODES = { SIGTERM: 143, SIGINT: 130 } as const

interface Stop {
  readonly asked: AbortSignal
  readonly stopped: Promise<void>
  forget(): void
}

function stopSignal(host: ServeHost): Stop {
  const controller = new AbortController()
  const stopped = new Promise<void>((resolve) => controller.signal.addEventListener('abort', () => resolve()))
  const listener = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      host.exit(EXIT_CODES[signal as keyof typeof EXIT_CODES] ?? 1)
      return
    }
    host.note('Stopping, once what is being written is written. A second signal ends it at once.')
    controller.abort()
  }
  for (const signal of SIGNALS) host.signals.on(signal, listener)
  return {
    asked: controller.signal,
    stopped,
    forget() {
      for (const signal of SIGNALS) host.signals.off(signal, listener)
    },
  }
}

/** Where it is, and how a client makes sure that it is the one. */
function startLines({ url, urls, fingerprint }: Served, { data, wireEncryption }: ServeOptions): readonly string[] {
  return [
    `Serving ${printable(data)} at ${url}`,
    ...urls.filter((other) => other !== url).map((other) => `Listening at ${other}`),
    `Server key ${fingerprint}`,
    `A client pins it: openChain('${url}/NAME', { serverKey: '${fingerprint}' })`,
    ...(wireEncryption === 'off' ? ['Messages are not encrypted on the wire.'] : []),
  ]
}

/** @throws AteError BAD_ARGUMENT | IO_ERROR; what an address or an identity must look like, serve() says */
export async function serveOptions(path: string, given: ServeArguments): Promise<ServeOptions> {
  const { url, listen, connect, create, proxies, idle, nodesList, node, metrics } = given
  const tls = tlsOf(given)
  const passphrase = given.passphraseFile === undefined ? undefined : await newPassphrase(given)
  return {
    data: path,
    listen: listen === undefined ? [url] : listen.map((address) => listenUrl(address, url)),
    wireEncryption: given.wireEncryption === 'on' ? 'on' : 'off',
    durability: given.durability,
    keyAccess: given.keyAccess,
    compact: compactOf(given),
    admit: {
      ...(connect === undefined ? {} : { connect: whoOf('--connect', connect) }),
      ...(create === undefined ? {} : { create: whoOf('--create', create) }),
    },
    ...(listen === undefined ? {} : { url }),
    ...(proxies === undefined ? {} : { proxies }),
    ...(metrics === undefined ? {} : { metrics }),
    ...(tls ? { tls } : {}),
    ...(idle === undefined ? {} : { idle: idle as NonNullable<ServeOptions['idle']> }),
    ...limitsOf(given),
    ...(nodesList === undefined ? {} : { nodes: nodesList }),
    ...(node === undefined ? {} : { node }),
    ...(given.follows === undefined
      ? {}
      : { follows: await Promise.all(given.follows.map((file) => identityOf(file, {}))) }),
    ...(passphrase === undefined ? {} : { passphrase }),
  }
}

/** A plain address takes everything else from the URL. */
function listenUrl(address: string, url: string): string {
  if (address.includes('://') || address.startsWith('ws+unix:')) return address
  const version = isIP(address.replace(/^\[(.*)\]$/, '$1'))
  const host = version === 6 && !address.startsWith('[') ? `[${address}]` : address
  if (!URL.canParse(url) || !/^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)$/i.test(host))
    throw new AteError(
      'BAD_ARGUMENT',
      { option: '--listen', given: address.slice(0, 200) },
      { hint: 'give a URL or an address' },
    )
  const { protocol, port, pathname } = new URL(url)
  return `${protocol}//${host}${port === '' ? '' : `:${port}`}${pathname}`
}

function whoOf(option: string, who: readonly string[]): 'loopback' | 'anyone' | readonly string[] {
  const [first] = who
  const isWord = (text: string | undefined): text is 'loopback' | 'anyone' => text === 'loopback' || text === 'anyone'
  if (who.length === 1 && isWord(first)) return first
  if (who.some(isWord))
    throw new AteError(
      'BAD_ARGUMENT',
      { option },
      { hint: 'give loopback, or anyone, or identities: one of the three' },
    )
  return who
}

function compactOf(given: ServeArguments): NonNullable<ServeOptions['compact']> {
  const { compactGrowth, compactBytes, compactEvery } = given
  const rules = {
    ...(compactGrowth === undefined ? {} : { growth: compactGrowth }),
    ...(compactBytes === undefined ? {} : { bytes: compactBytes }),
    ...(compactEvery === undefined ? {} : { every: compactEvery as `${number}h` }),
  }
  if (given.compact === 'on') return Object.keys(rules).length === 0 ? { growth: 2 } : rules
  if (Object.keys(rules).length > 0)
    throw new AteError(
      'BAD_ARGUMENT',
      { option: '--compact' },
      { hint: 'compaction is off and has rules: give one of both' },
    )
  return 'never'
}

function limitsOf({ quotaChains, quotaBytes }: ServeArguments): Pick<ServeOptions, 'limits'> {
  const limits = {
    ...(quotaChains === undefined ? {} : { chainsPerIdentity: quotaChains }),
    ...(quotaBytes === undefined ? {} : { storedBytesPerIdentity: quotaBytes }),
  }
  return Object.keys(limits).length === 0 ? {} : { limits }
}

function tlsOf({ cert, key }: ServeArguments): { readonly cert: string; readonly key: string } | undefined {
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined || key === undefined)
    throw new AteError(
      'BAD_ARGUMENT',
      { option: cert === undefined ? '--cert' : '--key' },
      { hint: 'give both, or none' },
    )
  return { cert: readText(cert), key: readText(key) }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code
    throw new AteError('IO_ERROR', { file, reason }, { cause, hint: 'the file cannot be read' })
  }
}
