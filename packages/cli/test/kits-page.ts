/** What kits.test.ts runs in a page: bundled, and called by name. Who adds and who subscribes; the work is done elsewhere. */
import { bus } from '@ate/bus'
import { type Chain, createIdentity, type Identity, openChain, queue } from '@ate/queue'

interface Served {
  readonly url: string
  readonly id: string
  readonly serverKey: string
}

let me: Identity
let chain: Chain
const heard: string[] = []

const calls = {
  async identity(): Promise<Identity['publicId']> {
    me = await createIdentity()
    return me.publicId
  },
  /** Subscribes, adds, and waits for the result, which another process gives. */
  async add(
    { url, id, serverKey }: Served,
    text: string,
  ): Promise<{ readonly result: string; readonly again: boolean }> {
    chain = await openChain(url, { as: me, id, serverKey })
    const events = bus<{ 'mail.sent': { to: string } }>(chain)
    await events.subscribe('page', 'mail.*', (event) => void heard.push(event.data.to), { from: 'start' }).ready
    const mails = queue<{ to: string }, string>(chain, 'mails')
    const job = await mails.add({ to: text }, { id: 'one' })
    const again = await mails.add({ to: 'nobody' }, { id: 'one' })
    return { result: await job.result(), again: again.id === job.id }
  },
  heard: (): readonly string[] => heard,
  close: (): Promise<void> => chain.close(),
}
export type Calls = typeof calls

Object.assign(globalThis, { calls })
