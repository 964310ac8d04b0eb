/** Processes that the bench starts, and ends by their id; and what the system says of them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Memory } from './service.ts'

const START_MS_MAX = 20_000
const STOP_MS_MAX = 5_000
/** Of Linux on every machine that counts: USER_HZ. */
const TICKS_A_SECOND = 100

/** A free port of this machine, which another program may take in the meantime. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** Starts a server of another project; ready when its port answers. @throws Error if it is not installed */
export async function startPeer(command: string, args: readonly string[], port: number): Promise<ChildProcess> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let failure: string | undefined
  let errors = ''
  child.on('error', (error: NodeJS.ErrnoException) => {
    failure = error.code === 'ENOENT' ? `${command} is not installed` : error.message
  })
  child.stderr?.on('data', (data) => {
    errors = (errors + data).slice(-2_000)
  })
  for (const until = Date.now() + START_MS_MAX; Date.now() < until; await sleep(20)) {
    if (failure) throw new Error(failure)
    if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}: ${errors.slice(0, 200)}`)
    const socket = await connected(port).catch(() => undefined)
    socket?.destroy()
    if (socket) return child
  }
  await stopProcess(child)
  throw new Error(`${command} does not answer`)
}

export function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })
}

export function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
    child.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
    child.kill('SIGTERM')
  })
}

/** Seconds of processor time of all threads so far; NaN where the system does not tell. */
export function processorSeconds(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND
  } catch {
    return Number.NaN
  }
}

export function residentMemory(pid: number): Memory {
  try {
    const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return { resident: Number(kilobytes) * 1_024 }
  } catch {
    return { resident: Number.NaN }
  }
}
