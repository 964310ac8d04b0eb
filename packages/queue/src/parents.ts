/** Which jobs wait for which: of blocked ones the parents that are not done, and the way back. */
import type { JobValue } from './queue-records.ts'

const NONE: readonly string[] = []

export class Parents {
  /** Jobs that have to be failed because a parent has. */
  readonly orphans: Set<string> = new Set()
  /** Of a blocked job: parents that are not done. */
  readonly #open = new Map<string, Set<string>>()
  readonly #children = new Map<string, Set<string>>()
  /** Parents in other queues that are not done. */
  readonly #foreign = new Map<string, JobValue>()

  /** Takes in the newest value of a job of another queue; the jobs that are free by it. */
  putForeign(id: string, value: JobValue): readonly string[] {
    if (value.end === 'done') this.#foreign.delete(id)
    else this.#foreign.set(id, value)
    return this.tellChildren(id, value)
  }

  hasForeign(id: string): boolean {
    return this.#foreign.has(id)
  }

  /** How one of another queue has ended, also if it is gone; undefined of one that is done or open. */
  foreignEnd(id: string): JobValue['end'] {
    return this.#foreign.get(id)?.end
  }

  /**
   * Whether a job waits for others. `stateOf` tells of those of its own queue. One of them that is not there any more has
   * been done: one that failed has failed its children before it went. Of other queues, the follower finds out.
   */
  isBlocked(id: string, value: JobValue, stateOf: (parent: string) => 'done' | 'open' | 'failed' | undefined): boolean {
    const open = new Set<string>()
    for (const parent of value.after ?? []) {
      const is = stateOf(parent) ?? this.#stateOfForeign(parent)
      if (is === 'done') continue
      if (is === 'open') open.add(parent)
      else if (value.onParentFail !== 'run') {
        this.orphans.add(id)
        open.add(parent)
      }
    }
    for (const parent of open) {
      const children = this.#children.get(parent)
      if (children) children.add(id)
      else this.#children.set(parent, new Set([id]))
    }
    if (open.size > 0) this.#open.set(id, open)
    return open.size > 0
  }

  /** Whether jobs wait for this one. */
  hasChildren(id: string): boolean {
    return this.#children.has(id)
  }

  /** It waits no more. */
  unblock(id: string): void {
    // As most queues are: nobody waits for anybody.
    if (this.orphans.size === 0 && this.#open.size === 0) return
    this.orphans.delete(id)
    for (const parent of this.#open.get(id) ?? []) {
      const children = this.#children.get(parent)
      children?.delete(id)
      if (children?.size === 0) this.#children.delete(parent)
    }
    this.#open.delete(id)
  }

  /** A parent has a new value; the children that are free by it. */
  tellChildren(parent: string, value: JobValue): readonly string[] {
    const children = value.end === undefined ? undefined : this.#children.get(parent)
    if (!children) return NONE
    const free: string[] = []
    for (const child of [...children]) {
      // What the child does when a parent fails stands in its value: who fails orphans reads it.
      if (value.end !== 'done') this.orphans.add(child)
      else if (this.forgive(child, parent)) free.push(child)
    }
    return free
  }

  /** The child does not wait for this parent any more; true if it waits for none. */
  forgive(child: string, parent: string): boolean {
    const open = this.#open.get(child)
    this.orphans.delete(child)
    if (!open?.delete(parent)) return false
    const children = this.#children.get(parent)
    children?.delete(child)
    if (children?.size === 0) this.#children.delete(parent)
    if (open.size > 0) return false
    this.#open.delete(child)
    return true
  }

  #stateOfForeign(parent: string): 'done' | 'open' | 'failed' {
    const foreign = this.#foreign.get(parent)
    if (!foreign || foreign.end === 'done') return 'done'
    return foreign.end === undefined ? 'open' : 'failed'
  }
}
