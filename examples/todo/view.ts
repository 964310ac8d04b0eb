/** The page's elements. One element an item, kept as long as the item is: what has the focus keeps it. */
import type { Items, ShownItem } from './items.ts'

export type Connection = 'connecting' | 'online' | 'offline' | 'ended'

const CONNECTIONS: Readonly<Record<Connection, string>> = {
  connecting: 'Connecting…',
  online: 'Connected',
  offline: 'Offline',
  ended: 'Closed',
}

interface Row {
  readonly element: HTMLLIElement
  readonly box: HTMLInputElement
  readonly text: HTMLSpanElement
  readonly remove: HTMLButtonElement
  item: ShownItem
}

export class View {
  readonly #rows = new Map<string, Row>()
  readonly #form = find('form', HTMLFormElement)
  readonly #text = find('#text', HTMLInputElement)
  readonly #list = find('#items', HTMLUListElement)
  readonly #isDrawn = { asked: false }
  #items: Items | undefined
  #connection: Connection = 'connecting'

  constructor() {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      const text = this.#text.value.trim()
      if (text === '' || !this.#items) return
      this.#text.value = ''
      void this.#items.add(text)
    })
  }

  show(items: Items): void {
    this.#items = items
    for (const control of this.#form.elements) control.removeAttribute('disabled')
    this.#draw()
    this.#text.focus()
  }

  /** Draws what there is, once for all that has changed in this turn. */
  draw(): void {
    if (this.#isDrawn.asked) return
    this.#isDrawn.asked = true
    queueMicrotask(() => {
      this.#isDrawn.asked = false
      this.#draw()
    })
  }

  connection(state: Connection): void {
    this.#connection = state
    find('#connection', HTMLElement).dataset['state'] = state
    this.draw()
  }

  /** Something that the reader has to know of. */
  tell(text: string): void {
    const note = find('#note', HTMLElement)
    note.textContent = text
    note.hidden = text === ''
  }

  #draw(): void {
    const suffix = this.#connection === 'online' ? '' : waitingText(this.#items?.waiting)
    setText(find('#connection', HTMLElement), CONNECTIONS[this.#connection] + suffix)
    if (!this.#items) return
    const items = this.#items.shown
    const open = items.filter(({ done }) => !done).length
    setText(find('#count', HTMLElement), items.length === 0 ? '' : `${open} of ${count(items.length, 'item')} to do`)
    find('#empty', HTMLElement).hidden = items.length > 0
    this.#dropRows(new Set(items.map(({ id }) => id)))
    let before: Element | null = this.#list.firstElementChild
    for (const item of items) {
      const row = this.#rows.get(item.id) ?? this.#addRow(item)
      fill(row, item)
      if (row.element === before) before = before.nextElementSibling
      else this.#list.insertBefore(row.element, before)
    }
  }

  #dropRows(ids: ReadonlySet<string>): void {
    for (const [id, { element }] of this.#rows) {
      if (ids.has(id)) continue
      // Who removed it with the keyboard goes on with the next one.
      if (element.contains(document.activeElement)) {
        const next = element.nextElementSibling ?? element.previousElementSibling
        const target = next?.querySelector('button') ?? this.#text
        target.focus()
      }
      element.remove()
      this.#rows.delete(id)
    }
  }

  #addRow(item: ShownItem): Row {
    const element = document.createElement('li')
    const label = element.appendChild(document.createElement('label'))
    const box = label.appendChild(document.createElement('input'))
    const text = label.appendChild(document.createElement('span'))
    const remove = element.appendChild(document.createElement('button'))
    box.type = 'checkbox'
    remove.type = 'button'
    remove.textContent = '×'
    const row: Row = { element, box, text, remove, item }
    box.addEventListener('change', () => void this.#items?.tick(row.item, box.checked))
    remove.addEventListener('click', () => void this.#items?.remove(row.item))
    this.#rows.set(item.id, row)
    return row
  }
}

/** What is to be sent may be left to the next tab once all of it is kept; until then this one says so. */
function waitingText({ all, unkept }: Items['waiting'] = { all: 0, unkept: 0 }): string {
  if (all === 0) return ''
  return `: ${count(all, 'change')} to send${unkept > 0 ? `, ${unkept} not kept yet` : ''}`
}

function fill(row: Row, item: ShownItem): void {
  row.item = item
  row.box.checked = item.done
  setText(row.text, item.text)
  row.remove.ariaLabel = `Remove ${item.text}`
  row.remove.title = row.remove.ariaLabel
  row.element.classList.toggle('waiting', item.isWaiting)
}

/** Only what differs: what a screen reader has read it reads again otherwise. */
function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function find<T extends HTMLElement>(selector: string, type: new () => T): T {
  const found = document.querySelector(selector)
  if (found instanceof type) return found
  throw new Error(`the page has no ${selector}`)
}
