/** The page: orders by POST, and shows what comes as server-sent events. No library. */

/** @typedef {{ topic: string, order: string, time: string, cents: number, customer: string, item: string, pieces: number, tracking: string }} ShopEvent */

/** Orders that are shown, by their ids. @type {Map<string, HTMLElement>} */
const shown = new Map()
const ORDERS_MAX = 200
let shipped = 0
let placed = 0

const { items, customers } = await (await fetch('/shop.json')).json()
fill(
  'customer',
  customers.map((/** @type {string} */ name) => [name, name]),
)
fill(
  'item',
  Object.entries(items).map(([name, price]) => [name, `${name} ${price}`]),
)
follow()

/** The browser connects again by itself, and says which event it saw last. */
function follow() {
  const source = new EventSource('/events')
  source.onopen = () => {
    connection('online', 'Live')
    void lookAtBooks()
  }
  source.onerror = () => connection('offline', 'Not connected; trying again…')
  source.onmessage = ({ data }) => {
    show(JSON.parse(data))
    void lookAtBooks()
  }
  source.addEventListener('books', () => void lookAtBooks())
}

/** @param {ShopEvent} event */
function show(event) {
  if (event.topic === 'order.placed') showPlaced(event)
  else showShipped(event)
  element('count').textContent = `${shipped} of ${placed} shipped`
  element('empty').hidden = placed > 0
}

/** @param {ShopEvent} event */
function showPlaced({ order, customer, item, pieces, cents }) {
  placed++
  const row = document.createElement('li')
  row.dataset['state'] = 'placed'
  row.append(
    part('what', `${pieces} × ${item}`),
    part('who', customer),
    part('price', dollars(cents)),
    part('state', 'held, queued'),
  )
  element('orders').prepend(row)
  shown.set(order, row)
  if (shown.size <= ORDERS_MAX) return
  const [oldest] = shown.keys()
  shown.get(oldest)?.remove()
  shown.delete(oldest)
}

/** @param {ShopEvent} event */
function showShipped({ order, tracking }) {
  shipped++
  const row = shown.get(order)
  if (!row) return
  row.dataset['state'] = 'shipped'
  const state = part('state', `paid, shipped as ${tracking} `)
  const invoice = Object.assign(document.createElement('a'), { href: `/invoices/${order}`, textContent: 'invoice' })
  state.append(invoice)
  row.lastElementChild?.replaceWith(state)
}

let isLooking = false
let isStale = false

/** One look at a time; what happens meanwhile is looked at once more. */
async function lookAtBooks() {
  isStale = true
  if (isLooking) return
  isLooking = true
  try {
    while (isStale) {
      isStale = false
      showBooks(await (await fetch('/books')).json())
    }
  } catch {
    setTimeout(lookAtBooks, 500) // the web process is gone for a moment
  } finally {
    isLooking = false
  }
}

/** @param {{ accounts: { name: string, posted: string, available: string }[], balanced: boolean, turnover: number }} books */
function showBooks({ accounts, balanced, turnover }) {
  const rows = accounts.map(({ name, posted, available }) => {
    const row = document.createElement('tr')
    for (const text of [name, dollars(posted), dollars(available)]) row.append(cell(text))
    return row
  })
  element('accounts').replaceChildren(...rows)
  element('turnover').textContent = dollars(turnover)
  element('balanced').textContent = balanced ? 'debits equal credits' : 'NOT BALANCED'
  element('balanced').dataset['ok'] = String(balanced)
}

element('pieces')
  .closest('form')
  ?.addEventListener('submit', (event) => {
    event.preventDefault()
    const value = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (element(id)).value
    void order({
      id: crypto.randomUUID(),
      customer: value('customer'),
      item: value('item'),
      pieces: Number(value('pieces')),
    })
  })

/** Sent until it is answered: the id makes it the same order each time. @param {object} wanted */
async function order(wanted) {
  tell('')
  for (;;) {
    try {
      const headers = { 'content-type': 'application/json' }
      const response = await fetch('/orders', { method: 'POST', headers, body: JSON.stringify(wanted) })
      if (response.status < 500) return tell(response.ok ? '' : await response.text())
    } catch {
      // No answer: it may have been taken, or not.
    }
    tell('No answer yet. Asking again…')
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

/** @param {string} id @param {string[][]} options */
function fill(id, options) {
  element(id).append(...options.map(([value, text]) => new Option(text, value)))
}

/** @param {string} text */
function tell(text) {
  element('note').textContent = text
  element('note').hidden = text === ''
}

/** @param {string} state @param {string} text */
function connection(state, text) {
  element('connection').dataset['state'] = state
  element('connection').textContent = text
}

/** @param {string} name @param {string} text */
function part(name, text) {
  const span = document.createElement('span')
  span.className = name
  span.textContent = text
  return span
}

/** @param {string} text */
function cell(text) {
  const made = document.createElement('td')
  made.textContent = text
  return made
}

/** @param {number | string} cents */
function dollars(cents) {
  return (Number(cents) / 100).toFixed(2)
}

/** @param {string} id */
function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id))
}
