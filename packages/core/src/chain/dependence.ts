/**
 * Which transactions build on others whose fate is open. A guard asks for a number, and not for who has made it so: if what
 * a transaction saw is void in the end, and somebody else has written in its place, the numbers fit, and its own write
 * would land on what it has never seen. So it is signed only once what it builds on is known.
 *
 * Told from what is written and guarded; where that is not exact, rather one too many waits. See docs/decisions/0033.
 */
import { entityKey } from '../event/entity-words.ts'
import { GUARD, OP } from '../event/format.ts'
import type { Guard, TransactionEvent } from '../event/transaction-event.ts'
import type { TransactionDraft } from './staged.ts'

export class OpenChanges {
  /** Looked at when somebody asks for one of their entities: most transactions make new ones and ask for none. */
  readonly #unread: TransactionDraft[] = []
  readonly #entities = new Set<string>()
  /** Nodes below which something was created. */
  readonly #parents = new Set<string>()
  /** Something has left a list, of which nobody asks here. */
  #lists = false
  /** Policies, keys or roles: whatever is written depends on them. */
  #trust = false

  add(draft: TransactionDraft): void {
    this.#unread.push(draft)
    this.#trust ||= draft.events.some(changesTrust)
  }

  /** The draft saw what is not decided yet. */
  isUnder({ guards, events }: TransactionDraft): boolean {
    if (this.#trust) return true
    if (guards.length === 0 && !events.some(asksForNumber)) return false
    this.#read()
    return guards.some((guard) => this.#isGuarded(guard)) || events.some((event) => this.#isChanged(event))
  }

  #read(): void {
    for (const { events } of this.#unread.splice(0))
      for (const event of events) {
        this.#entities.add(entityKey(event))
        if (event.op === OP.create) this.#parents.add(entityKey(event.parent))
        else if (event.op === OP.move || event.op === OP.delete || event.op === OP.forget) this.#lists = true
      }
  }

  #isGuarded({ kind, entity }: Guard): boolean {
    if (this.#entities.size === 0) return false
    if (kind === GUARD.subtree) return true
    if (kind === GUARD.members && (this.#lists || this.#parents.has(entityKey(entity)))) return true
    return this.#entities.has(entityKey(entity))
  }

  #isChanged(event: TransactionEvent): boolean {
    return asksForNumber(event) && this.#entities.has(entityKey(event))
  }
}

/** A new one has an id of its own, unless it has a name; one that is counted up asks for no number. */
function asksForNumber({ op, key }: TransactionEvent): boolean {
  return op !== OP.add && !(op === OP.create && key === null)
}

function changesTrust({ rare }: TransactionEvent): boolean {
  return (
    rare !== null && Boolean(rare.policy || rare.epoch || rare.role || rare.person || rare.root || rare.certificate)
  )
}
