/** Connections to a real server that come back: what stands for its signature, and what is asked again each time. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ClientTickets } from '../../src/mesh/client-tickets.ts'
import { connect } from '../../src/mesh/connect.ts'
import { serverPin } from '../../src/mesh/server-pins.ts'
import { serve } from '../../src/node/serve.ts'
import type { Tickets } from '../../src/session/tickets.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import { machine, someone } from './net-kit.ts'

/** A machine, and how the server has shown itself on each of its connections. */
function watched() {
  const base = machine()
  const inner = new ClientTickets(base.crypto)
  const how: ('signed' | 'resumed')[] = []
  const tickets: Tickets = {
    take: (...asked) => inner.take(...asked),
    keep(url, made, now) {
      how.push(made.by instanceof Uint8Array ? 'signed' : 'resumed')
      inner.keep(url, made, now)
    },
  }
  const platform = Object.create(base, { tickets: { value: tickets } }) as typeof base
  return { platform, how }
}

it('a client that comes back shows a ticket; its identity is proved, and admitted, each time', async () => {
  const data = mkdtempSync(join(tmpdir(), 'ate-resuming-'))
  const banned = new Set<string>()
  const admit = ({ identity }: { readonly identity?: string | undefined }): boolean => !banned.has(identity!)
  const { platform, how } = watched()
  const me = someone()
  let server = await serve({ listen: 'ws://127.0.0.1:0/db', data, admit })
  const { port } = new URL(server.url)
  const pin = await serverPin(platform, { host: '127.0.0.1', port: Number(port), serverKey: server.publicKey })
  /** What the server says to who wants a chain that there is not. */
  const meet = async (): Promise<string> => {
    const connection = await connect(platform, { url: server.url, pin })
    const wanted = { identity: me, name: 'none', chain: undefined, head: undefined, genesis: undefined } as const
    const code = await codeOf(() => connection.openChannel({ ...wanted, bodies: 'all' }, () => expect.unreachable()))
    connection.close()
    return code
  }
  expect([await meet(), await meet(), await meet()]).toEqual(['CHAIN_NOT_FOUND', 'CHAIN_NOT_FOUND', 'CHAIN_NOT_FOUND'])
  expect(how).toEqual(['signed', 'resumed', 'resumed'])
  banned.add(me.fingerprint)
  expect(await meet()).toBe('NOT_AUTHORIZED')
  expect(how).toEqual(['signed', 'resumed', 'resumed', 'resumed'])
  // What the tickets are in is the memory of a process.
  await server.close()
  banned.clear()
  server = await serve({ listen: `ws://127.0.0.1:${port}/db`, data, admit })
  expect([await meet(), await meet()]).toEqual(['CHAIN_NOT_FOUND', 'CHAIN_NOT_FOUND'])
  expect(how.slice(4)).toEqual(['signed', 'resumed'])
  await server.close()
  rmSync(data, { recursive: true })
})
