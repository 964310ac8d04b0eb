/** The page: lets itself in with an invitation, opens the list, and shows it. */
import { type Chain, isAteError, machineIdentity, type Observation, openChain } from '@ate/core'
import { Items } from './items.ts'
import type { JoinRequest, Where } from './list.ts'
import { View } from './view.ts'

const view = new View()
// An invitation that is opened where the page is loaded already.
addEventListener('hashchange', () => location.reload())

try {
  // For the next time: nothing of this one waits for it.
  void navigator.serviceWorker?.register('/service-worker.js').catch(() => undefined)
  await start()
} catch (error) {
  view.connection('ended')
  view.tell(textOf(error))
}

async function start(): Promise<void> {
  const where: Where = await (await fetch('/where.json')).json()
  await join()
  performance.mark('opening')
  const chain = await openList(where)
  performance.mark('opened')
  const items = new Items(chain, where, {
    changed: () => view.draw(),
    lost: (text, code) => view.tell(lostText(text, code)),
    ended: (error) => view.tell(textOf(error)),
  })
  await items.open()
  view.show(items)
  performance.mark('shown')
  addEventListener('beforeunload', (event) => {
    if (items.waiting.unkept > 0) event.preventDefault()
  })
}

/**
 * The identity of this browser is made here and stays here; the other side gives it a role. The invitation came behind the #
 * of the link, which browsers send to nobody; it is taken out of the address, so that it is not shared by mistake.
 */
async function join(): Promise<void> {
  const invitation = new URLSearchParams(location.hash.slice(1)).get('invitation')
  if (invitation === null) return
  const { publicId } = await machineIdentity()
  const request: JoinRequest = { invitation, publicId }
  const headers = { 'content-type': 'application/json' }
  const response = await fetch('/join', { method: 'POST', headers, body: JSON.stringify(request) })
  if (!response.ok) throw new Error(await response.text())
  history.replaceState(undefined, '', location.pathname)
}

/**
 * One tab has the connection, and one keeps the copy in the database; the others speak through it, and read it. So a tab needs only
 * what is new when it is opened, or nothing while the server does not answer. What a tab writes it keeps itself.
 */
function openList({ url, id, serverKey }: Where): Promise<Chain> {
  return openChain(url, { id, serverKey, observe, share: true, replica: 'indexeddb:todo', offline: 'allow' })
}

function observe(one: Observation): void {
  if (one.kind === 'connection') view.connection(one.state)
  else if (one.kind === 'alarm') view.tell(`The server is not to be trusted any more (${one.code}).`)
}

function lostText(text: string | undefined, code: string): string {
  const what = text === undefined ? 'A change of this browser' : `Your change of “${text}”`
  return code === 'CONFLICT' || code === 'NOT_FOUND'
    ? `${what} was not made: somebody else had changed it first.`
    : `${what} was not made (${code}).`
}

function textOf(error: unknown): string {
  if (!isAteError(error)) return error instanceof Error ? error.message : String(error)
  if (error.code === 'NOT_AUTHORIZED' || error.code === 'NO_READ_KEY')
    return 'You are not let in yet: open the link that the program printed.'
  if (error.code === 'SERVER_UNREACHABLE') return 'The server does not answer. Load the page again when it does.'
  return error.message
}
