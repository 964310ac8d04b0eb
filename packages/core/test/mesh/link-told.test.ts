/** A link whose chain cannot take what it is told: it ends, and the chain hears so. */
import { expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { LINK_RETRY_MS } from '../../src/base/limits.ts'
import type { LinkEvents } from '../../src/chain/link.ts'
import type { ChannelEvents, ClientConnection, Opened } from '../../src/mesh/client-connection.ts'
import { ServerLink } from '../../src/mesh/server-link.ts'
import { machine, someone } from './net-kit.ts'

/** A link whose server is at hand: what it says, and what it was told to wait. */
async function linkHere() {
  let channel: ChannelEvents | undefined
  const opened: Opened = {
    channel: 1,
    chain: new Uint8Array(32),
    level: 'memory',
    head: { seq: 0, hash: new Uint8Array(32) },
    resume: new Uint8Array(32),
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
  const waits: { readonly ms: number; readonly end: () => void }[] = []
  const own = machine()
  const environment = {
    ...own.environment,
    random: { fill: (bytes: Uint8Array) => bytes.fill(0) },
    timers: {
      start(ms: number, end: () => void) {
        waits.push({ ms, end })
        return { cancel: () => undefined }
      },
    },
  }
  const platform = Object.create(own, { environment: { value: environment } })
  const parts = { platform, connect: async () => lease, nameOn: () => 'notes', request }
  const link = await ServerLink.open(parts, { chain: undefined, head: undefined, genesis: undefined }, undefined)
  return { link, waits, channel: () => channel! }
}

it('tells that it has ended when an answer cannot be taken', async () => {
  const { link, channel } = await linkHere()
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
  channel().answers(1, [])
  const { code, cause } = await ended
  expect([code, (cause as Error).message]).toEqual(['INTERNAL', 'a mistake of ours'])
  await link.close()
})

it('comes less and less often to a server whose disk is full, and at once again when it has answered', async () => {
  const { link, waits, channel } = await linkHere()
  let online: () => void = () => undefined
  const events: Partial<LinkEvents> = { online: () => online(), offline: () => undefined, answers: () => undefined }
  events.head = () => ({ seq: 0, hash: new Uint8Array(32) })
  link.start(events as LinkEvents)
  /** Half of the wait: by chance it is all of it or less. */
  const waitAfter = async (code: 'DISK_FULL' | 'OFFLINE'): Promise<number> => {
    channel().closed(new AteError(code))
    const { ms, end } = waits.at(-1)!
    const isBack = new Promise<void>((resolve) => {
      online = resolve
    })
    end()
    await isBack
    return ms / (LINK_RETRY_MS / 2)
  }
  const full: number[] = []
  for (let i = 0; i < 8; i++) full.push(await waitAfter('DISK_FULL'))
  expect(full).toEqual([1, 2, 4, 8, 16, 32, 64, 120])
  channel().answers(1, [])
  expect([await waitAfter('DISK_FULL'), await waitAfter('DISK_FULL')]).toEqual([1, 2])
  // One that breaks for another reason is tried at once: it came through before.
  expect([await waitAfter('OFFLINE'), await waitAfter('OFFLINE')]).toEqual([1, 1])
  await link.close()
})
