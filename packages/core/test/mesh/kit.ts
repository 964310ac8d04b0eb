/** Real sockets of this machine, for tests: what listens, and waiting for what comes. */

import type { Arrival, Dial, Listening, ListenOptions, Socket } from '../../src/mesh/transport.ts'
import { dial, type NodeDialOptions } from '../../src/node/dial.ts'
import { listen } from '../../src/node/listen.ts'
import type { SocketHarness } from '../../src/testing/socket-suite.ts'

const WAIT_MS = 30_000

/** Waits for what other ends do: as long as it takes, within reason. */
export async function until(done: () => boolean, what: string): Promise<void> {
  const end = performance.now() + WAIT_MS
  while (!done()) {
    if (performance.now() > end) throw new Error(`this did not come: ${what}`)
    await new Promise((resume) => setTimeout(resume, 1))
  }
}

export interface Arrived {
  readonly socket: Socket
  readonly arrival: Arrival
}

/** A listener that keeps who arrives. */
export async function listenHere(
  urls: string | readonly string[] = 'ws://127.0.0.1:0/db',
  options: Partial<ListenOptions> = {},
): Promise<{ readonly listening: Listening; readonly arrived: Arrived[] }> {
  const arrived: Arrived[] = []
  const listening = await listen(urls, {
    accept: (socket, arrival) => void arrived.push({ socket, arrival }),
    ...options,
  })
  return { listening, arrived }
}

export async function realHarness(
  url: string,
  options: {
    readonly listen?: Partial<ListenOptions>
    readonly dial?: NodeDialOptions
    readonly dialer?: Dial
    readonly pauses?: 'both' | 'server'
  } = {},
): Promise<SocketHarness> {
  const { listening, arrived } = await listenHere(url, options.listen)
  const clients: Socket[] = []
  return {
    pauses: options.pauses ?? 'both',
    until,
    async connect() {
      const before = arrived.length
      const client = await (options.dialer ?? dial)(listening.url, options.dial)
      clients.push(client)
      await until(() => arrived.length > before, 'an arrival')
      return { client, server: arrived[before]!.socket }
    },
    async dispose() {
      for (const client of clients) client.terminate()
      await listening.close()
    },
  }
}
