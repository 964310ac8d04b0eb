/**
 * `ate serve`: what its arguments mean, and its life from the first line to the signal.
 * @newest-node-only: runs the TypeScript sources
 */
import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AteError, createIdentity, isAteError, saveIdentity } from '@ate/core'
import type { Serve, Served, ServeOptions } from '@ate/core/server'
import { Command } from 'commander'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { runServer, type ServeArguments, type ServeHost, serveOptions } from '../src/serve.ts'
import { addServe } from '../src/serve-arguments.ts'
import { ATEDB, type Machine, newMachine, SERVE_CHILD } from './run-ate.ts'

let machine: Machine
beforeAll(() => {
  machine = newMachine()
})
afterAll(() => machine.remove())
afterEach(() => vi.unstubAllEnvs())

/** What serve() would be given for these arguments. */
async function optionsOf(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<ServeOptions> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  const program = new Command('ate').exitOverride().configureOutput({ writeErr: () => undefined })
  addServe(program, 'serve')
  let options: ServeOptions | undefined
  program.commands[0]!.action(async (path: string | undefined, given: ServeArguments) => {
    options = await serveOptions(path ?? 'served', given)
  })
  await program.parseAsync(['serve', ...args], { from: 'user' })
  return options!
}

const USUAL: ServeOptions = {
  data: 'served',
  listen: ['ws://localhost:5000/db'],
  durability: 'disk',
  keyAccess: 'open',
  wireEncryption: 'on',
  compact: { growth: 2 },
  admit: {},
}

describe('arguments', () => {
  it.each<[readonly string[], Readonly<Record<string, string>>, Partial<ServeOptions>]>([
    [[], {}, {}],
    [['/srv/ate'], {}, { data: '/srv/ate' }],
    [['--url', 'ws://a:1/x'], {}, { listen: ['ws://a:1/x'] }],
    [[], { ATE_SERVE_URL: 'ws://a:1/x' }, { listen: ['ws://a:1/x'] }],
    [['--url', 'ws://b:2'], { ATE_SERVE_URL: 'ws://a:1/x' }, { listen: ['ws://b:2'] }],
    [
      ['--listen', '0.0.0.0,::', '--listen', 'ws+unix:/run/a', './here'],
      {},
      {
        data: './here',
        url: 'ws://localhost:5000/db',
        listen: ['ws://0.0.0.0:5000/db', 'ws://[::]:5000/db', 'ws+unix:/run/a'],
      },
    ],
    [
      [],
      { ATE_SERVE_LISTEN: 'ws://a:1, ws://b:2' },
      { url: 'ws://localhost:5000/db', listen: ['ws://a:1', 'ws://b:2'] },
    ],
    [['--create', 'anyone', '--connect', 'abc,def'], {}, { admit: { create: 'anyone', connect: ['abc', 'def'] } }],
    [[], { ATE_SERVE_CREATE: 'abc' }, { admit: { create: ['abc'] } }],
    [[], { ATE_SERVE_CREATE: '', ATE_SERVE_CONNECT: '', ATE_SERVE_QUOTA_CHAINS: '' }, {}],
    [['--no-wire-encryption'], {}, { wireEncryption: 'off' }],
    [[], { ATE_SERVE_WIRE_ENCRYPTION: 'off' }, { wireEncryption: 'off' }],
    [['--wire-encryption', 'on'], { ATE_SERVE_WIRE_ENCRYPTION: 'off' }, { wireEncryption: 'on' }],
    [['--durability', 'os'], {}, { durability: 'os' }],
    [['--quota-chains', '5'], {}, { limits: { chainsPerIdentity: 5 } }],
    [
      ['--quota-bytes', '1000'],
      { ATE_SERVE_QUOTA_CHAINS: '7', ATE_SERVE_QUOTA_BYTES: '9' },
      { limits: { chainsPerIdentity: 7, storedBytesPerIdentity: 1000 } },
    ],
    [[], {}, { durability: 'disk' }],
    [['--key-access', 'recorded'], {}, { keyAccess: 'recorded' }],
    [[], { ATE_SERVE_KEY_ACCESS: 'recorded' }, { keyAccess: 'recorded' }],
    [[], {}, { keyAccess: 'open' }],
    [['--no-compact'], {}, { compact: 'never' }],
    [[], { ATE_SERVE_COMPACT: 'off' }, { compact: 'never' }],
    [
      ['--compact-growth', '1.4', '--compact-bytes', '100', '--compact-every', '6h'],
      {},
      { compact: { growth: 1.4, bytes: 100, every: '6h' } },
    ],
    [[], { ATE_SERVE_COMPACT_EVERY: '1d' }, { compact: { every: '1d' } }],
    [['--nodes-list', 'ws://a,ws://b', '--node', 'ws://b'], {}, { nodes: ['ws://a', 'ws://b'], node: 'ws://b' }],
    [['--proxies', 'loopback,10.0.0.0/8'], {}, { proxies: ['loopback', '10.0.0.0/8'] }],
    [[], { ATE_SERVE_PROXIES: '10.0.0.1' }, { proxies: ['10.0.0.1'] }],
    [['--metrics', 'never', '--idle', '5m'], {}, { metrics: 'never', idle: '5m' }],
  ])('%j with %j', async (args, env, wanted) => {
    expect(await optionsOf(args, env)).toEqual({ ...USUAL, ...wanted })
  })

  it('of files: a certificate, its key, a passphrase; what is in them is not shown', async () => {
    const file = (name: string): string => join(machine.folder, name)
    for (const name of ['cert', 'key', 'pass']) writeFileSync(file(name), `the ${name}\n`)
    const options = await optionsOf(['--cert', file('cert'), '--key', file('key'), '--passphrase-file', file('pass')])
    expect([options.tls, options.passphrase]).toEqual([{ cert: 'the cert\n', key: 'the key\n' }, 'the pass'])
  })

  it('of identities that it had before', async () => {
    const old = await createIdentity()
    await saveIdentity(old, join(machine.folder, 'old.id'))
    const { follows } = await optionsOf(['--follows', join(machine.folder, 'old.id')])
    expect(follows?.map(({ publicId }) => publicId)).toEqual([old.publicId])
  })

  it.each<[readonly string[], string]>([
    [['--follows', 'nowhere'], 'BAD_IDENTITY'],
    [['--cert', 'x'], 'BAD_ARGUMENT'],
    [['--cert', 'nowhere', '--key', 'nowhere'], 'IO_ERROR'],
    [['--create', 'anyone,abc'], 'BAD_ARGUMENT'],
    [['--no-compact', '--compact-growth', '3'], 'BAD_ARGUMENT'],
    [['--listen', './served'], 'BAD_ARGUMENT'],
    [['--compact-growth', 'much'], 'commander.invalidArgument'],
    [['--metrics', 'all'], 'commander.invalidArgument'],
    [['--idle', '5'], 'commander.invalidArgument'],
    [['--compact-every', '5 minutes'], 'commander.invalidArgument'],
    [['--wire-encryption', 'no'], 'commander.invalidArgument'],
    [['a', 'b'], 'commander.excessArguments'],
    [['--daemon'], 'commander.unknownOption'],
  ])('%j is a mistake', async (args, code) => {
    const error: unknown = await optionsOf(args).catch((reason: unknown) => reason)
    expect(isAteError(error) || error instanceof Error ? (error as { code?: string }).code : error).toBe(code)
  })
})

interface Trial {
  readonly host: ServeHost
  readonly lines: string[]
  readonly clock: { time: number }
  readonly exits: number[]
  readonly signals: EventEmitter
  readonly closes: () => number
}

function trial(
  serve?: Serve,
  closing: Promise<void> = Promise.resolve(),
  closed: Promise<void> = new Promise(() => undefined),
): Trial {
  const signals = new EventEmitter()
  const lines: string[] = []
  const exits: number[] = []
  let closes = 0
  const served: Served = {
    url: 'ws://h:1/db',
    urls: ['ws://h:1/db', 'ws+unix:/run/a'],
    publicKey: 'ate1',
    fingerprint: 'abc',
    closed,
    async [Symbol.asyncDispose]() {},
    close: () => {
      closes++
      return closing
    },
  }
  const clock = { time: 0 }
  const host: ServeHost = {
    serve: serve ?? (async () => served),
    signals: signals as unknown as ServeHost['signals'],
    print: async (line) => void lines.push(line),
    note: (line) => void lines.push(`note: ${line}`),
    now: () => clock.time,
    exit: (code) => void exits.push(code),
  }
  return { host, lines, clock, exits, signals, closes: () => closes }
}

it('a variable that is misspelt is said', async () => {
  const { code, stderr } = await machine.run(['serve', '--url', 'http://x'], {
    ATE_SERVE_CREAT: 'anyone',
    ATE_SERVE_PATH: './served',
    ATE_SERVE_CREATE: 'loopback',
  })
  expect([code, stderr]).toEqual([1, expect.stringMatching(/^ATE_SERVE_CREAT is no variable .*\nBAD_URL: .*\n$/)])
})

describe('a server', () => {
  it('says where it is and how it is pinned, and closes on a signal', async () => {
    const { host, lines, signals, closes } = trial()
    const running = runServer({ ...USUAL, wireEncryption: 'off' }, host)
    await vi.waitUntil(() => lines.length === 5)
    expect(lines).toEqual([
      'Serving served at ws://h:1/db',
      'Listening at ws+unix:/run/a',
      'Server key abc',
      "A client pins it: openChain('ws://h:1/db/NAME', { serverKey: 'abc' })",
      'Messages are not encrypted on the wire.',
    ])
    expect(closes()).toBe(0)
    signals.emit('SIGTERM', 'SIGTERM')
    await running
    expect([closes(), lines.at(-1), signals.eventNames()]).toEqual([1, expect.stringContaining('Stopping'), []])
  })

  it('says what is wrong with a chain, once a minute', async () => {
    let observe: ServeOptions['observe']
    const { host, lines, clock, signals } = trial(async (options) => {
      observe = options.observe
      return trial().host.serve(options)
    })
    const running = runServer(USUAL, host)
    await vi.waitUntil(() => lines.length === 4)
    const error = new AteError('DISK_FULL', { place: 'file:/srv/\u001b[2J' })
    const tell = (chain: string, time: number): void => {
      clock.time = time
      observe!({ kind: 'alarm', chain, error })
    }
    tell('a', 0)
    tell('a', 59_999)
    tell('b', 59_999)
    tell('a', 60_000)
    expect(lines.slice(4)).toEqual([
      expect.stringMatching(/^note: 1970-01-01T00:00:00.000Z chain a: DISK_FULL: .*file:\/srv\/\\x1b\[2J/),
      expect.stringMatching(/^note: 1970-01-01T00:00:59.999Z chain b: DISK_FULL/),
      expect.stringMatching(/^note: 1970-01-01T00:01:00.000Z chain a: DISK_FULL/),
    ])
    signals.emit('SIGTERM', 'SIGTERM')
    await running
  })

  it('ends at once on a second signal', async () => {
    const { host, lines, exits, signals } = trial(undefined, new Promise(() => undefined))
    void runServer(USUAL, host)
    await vi.waitUntil(() => lines.length > 0)
    signals.emit('SIGINT', 'SIGINT')
    expect(exits).toEqual([])
    signals.emit('SIGINT', 'SIGINT')
    expect(exits).toEqual([130])
  })

  it('that is told to stop before it runs does not run', async () => {
    const { host, lines, signals } = trial(
      (options) =>
        new Promise((_, reject) => options.signal!.addEventListener('abort', () => reject(options.signal!.reason))),
    )
    const running = runServer(USUAL, host)
    signals.emit('SIGTERM', 'SIGTERM')
    await running
    expect(lines.length).toBe(1)
  })

  it('that cannot start, or ends by itself, is an error', async () => {
    const failing = trial(async () => Promise.reject(new Error('no port')))
    await expect(runServer(USUAL, failing.host)).rejects.toThrow('no port')
    const ended = trial(undefined, undefined, Promise.reject(new Error('the disk')))
    await expect(runServer(USUAL, ended.host)).rejects.toThrow('the disk')
    expect([failing.signals.eventNames(), ended.signals.eventNames()]).toEqual([[], []])
  })
})

describe('a process', () => {
  async function run(
    signals: readonly NodeJS.Signals[],
    env: Record<string, string> = {},
  ): Promise<readonly [unknown, string]> {
    const child = spawn(process.execPath, [SERVE_CHILD], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
    for (const [i, signal] of signals.entries()) {
      await vi.waitUntil(() => text.includes(i === 0 ? 'pins it' : 'Stopping'), { timeout: 50_000 })
      child.kill(signal)
    }
    const [code] = await once(child, 'close')
    return [code, text]
  }

  it('closes on SIGTERM and ends with 0', async () => {
    const [code, text] = await run(['SIGTERM'])
    expect([code, text.endsWith('closed\n')]).toEqual([0, true])
  })

  it('of the command itself serves, answers, and leaves its folder to the next', async () => {
    const folder = join(machine.folder, 'served')
    const args = [ATEDB, 'solo', folder]
    const env = { ...process.env, ATE_HOME: join(machine.folder, 'home'), ATE_SERVE_URL: 'ws://127.0.0.1:0/db' }
    const keys: (string | undefined)[] = []
    for (let i = 0; i < 2; i++) {
      const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      await vi.waitUntil(() => text.includes('pins it'), { timeout: 50_000 })
      const health = await fetch(`${/at ws(:\S+)\/db\n/.exec(text)![1]!.replace(/^/, 'http')}/health`)
      expect([health.status, await health.json()]).toMatchObject([200, { status: 'ok' }])
      keys.push(/Server key ([0-9a-z]{52})\n/.exec(text)?.[1])
      child.kill('SIGTERM')
      expect(await once(child, 'close')).toEqual([0, null])
    }
    expect(keys[0]).toBeDefined()
    expect(keys[1]).toBe(keys[0])
  })

  it('ends on a second signal, whatever it is doing', async () => {
    expect((await run(['SIGINT', 'SIGTERM'], { CLOSES: 'never' }))[0]).toBe(143)
  })
})
