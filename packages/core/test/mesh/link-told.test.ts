/** A link whose chain cannot take what it is told: it ends, and the chain hears so. */
import { expect, it } from 'vitest'
import type { AteError } from '../../src/base/errors.ts'
import type { LinkEvents } from '../../src/chain/link.ts'
import type { ChannelEvents, ClientConnection, Opened } from '../../src/mesh/client-connection.ts'
import { ServerLink } from '../../src/mesh/server-link.ts'
import { machine, someone } from './net-kit.ts'

it('tells that it has ended when an answer cannot be taken', async () => {
  let channel: ChannelEvents | undefined
  const opened: Opened = {
    channel: 1,
    chain: new Uint8Array(32),
    level: 'memory',
    head: { seq: 0, hash: new Uint8Array(32) },
    resume: undefined,
  }
  const connection = {
    openChannel: async (_: unknown, begin: (opened: Opened) => ChannelEvents) => {
      channel = begin(opened)
      return opened
    },
    send: () => undefined,
    leave: () => undefined,
  } as unknown as ClientConnection
  const lease = { connection, use: () => undefined, leave: () => undefined }
  const request = { identity: someone(), name: 'notes', bodies: 'all' as const }
  const parts = { platform: machine(), connect: async () => lease, nameOn: () => 'notes', request }
  const link = await ServerLink.open(parts, { chain: undefined, head: undefined, genesis: undefined }, undefined)
  const ended = new Promise<AteError>((resolve) => {
    const events: Partial<LinkEvents> = {
      online: () => undefined,
      answers: () => {
        throw new TypeError('a mistake of ours')
      },
      ended: resolve,
    }
    link.start(events as LinkEvents)
  })
  channel!.answers(1, [])
  const { code, cause } = await ended
  expect([code, (cause as Error).message]).toEqual(['INTERNAL', 'a mistake of ours'])
  await link.close()
})
