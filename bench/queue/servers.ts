/** Our server, and Redis and PostgreSQL of the system (Debian: redis-server, postgresql), started for one row and stopped after it. */
import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NODE_OPTIONS } from '../run.ts'
import type { Server } from './engines.ts'

const START_MS_MAX = 20_000
const OUR_SERVER = fileURLToPath(new URL('../network/us-server.ts', import.meta.url))

export interface Running {
  readonly port: number
  stop(): Promise<void>
}

/** Why a server is not there, or undefined if it is. */
export function missing(server: Server): string | undefined {
  if (server.startsWith('redis') && !has('redis-server'))
    return 'redis-server is not installed (apt install redis-server)'
  if (server === 'postgres' && postgresBin() === undefined)
    return 'PostgreSQL is not installed (apt install postgresql)'
  return undefined
}

export async function startServer(server: Server, folder: string): Promise<Running> {
  if (server === 'none') return { port: 0, stop: async () => undefined }
  if (server === 'ate') return startOurs(folder)
  const port = await freePort()
  const child = server === 'postgres' ? startPostgres(folder, port) : startRedis(folder, port, server)
  await answers(port, child)
  return { port, stop: () => ended(child) }
}

async function startOurs(folder: string): Promise<Running> {
  const child = fork(OUR_SERVER, [JSON.stringify({ data: join(folder, 'served'), durability: 'disk' })], {
    execArgv: [...NODE_OPTIONS],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const { url } = await new Promise<{ url: string }>((resolve, reject) => {
    child.once('message', (message) => resolve(message as { url: string }))
    child.once('exit', (code) => reject(new Error(`our server ended with ${code}`)))
  })
  return { port: Number(new URL(url).port), stop: () => ended(child, 'SIGTERM') }
}

function startRedis(folder: string, port: number, server: Server): ChildProcess {
  const sync = server === 'redis always' ? 'always' : 'everysec'
  const appends = server === 'redis memory' ? 'no' : 'yes'
  const options = [
    '--port',
    String(port),
    '--dir',
    folder,
    '--appendonly',
    appends,
    '--appendfsync',
    sync,
    '--save',
    '',
  ]
  return spawn('redis-server', options, { stdio: 'ignore' })
}

/** The server refuses to run as root: then it runs as the user of its package. */
function startPostgres(folder: string, port: number): ChildProcess {
  const bin = postgresBin()!
  const data = join(folder, 'pg')
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const ids = process.getuid?.() === 0 ? idsOf('postgres') : undefined
  if (ids) {
    chownSync(data, ids.uid, ids.gid)
    spawnSync('chmod', ['o+x', folder, join(folder, '..')])
  }
  const made = spawnSync(join(bin, 'initdb'), ['-D', data, '-U', 'bench', '-A', 'trust', '--no-instructions'], {
    ...ids,
    encoding: 'utf8',
  })
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr.trim().split('\n').at(-1)}`)
  return spawn(join(bin, 'postgres'), ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', data], {
    ...ids,
    stdio: 'ignore',
  })
}

function idsOf(user: string): { readonly uid: number; readonly gid: number } {
  const id = (flag: string): number => Number(spawnSync('id', [flag, user], { encoding: 'utf8' }).stdout)
  return { uid: id('-u'), gid: id('-g') }
}

function postgresBin(): string | undefined {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return undefined
  const version = readdirSync(root).sort((a, b) => Number(b) - Number(a))[0]
  return version && join(root, version, 'bin')
}

function has(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

async function answers(port: number, child: ChildProcess): Promise<void> {
  const until = Date.now() + START_MS_MAX
  while (Date.now() < until && child.exitCode === null) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true))
      socket.on('connect', () => socket.end())
      socket.on('error', () => resolve(false))
    })
    // PostgreSQL listens a moment before it takes connections.
    if (isThere) return void (await new Promise((resolve) => setTimeout(resolve, 500)))
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('the server did not start')
}

function ended(child: ChildProcess, signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve()
    child.once('exit', () => resolve())
    // SIGINT is PostgreSQL's fast shutdown; Redis takes it too.
    child.kill(signal)
  })
}
