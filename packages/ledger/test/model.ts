/**
 * What a ledger should do, told a second time and apart from its sources: plain sums, and every reason for which something
 * may be refused. Slow and readable.
 */
import type { SeededRandom } from '@ate/core/testing'

export interface ModelAccount {
  readonly currency: 'GOLD' | 'SILVER'
  readonly normal: 'credit' | 'debit'
  readonly floor: bigint | undefined
  readonly ceiling: bigint | undefined
  debits: bigint
  credits: bigint
  closed: boolean
}

export interface ModelHold {
  readonly from: string
  readonly to: string
  readonly units: bigint
  readonly until: number
  state: 'open' | 'capture' | 'void'
  captured: bigint
}

export interface Body {
  readonly from: string
  readonly to: string
  readonly units: bigint
  readonly currency: 'GOLD' | 'SILVER'
  readonly ref: string | undefined
}

type Done = { readonly kind: 'post' | 'hold' | 'capture'; readonly body: Body }

export class Model {
  readonly accounts: Map<string, ModelAccount> = new Map()
  readonly holds: Map<string, ModelHold> = new Map()
  /** What was posted, by id. */
  readonly done: Map<string, Done> = new Map()
  readonly reversed: Set<string> = new Set()
  now = 0

  /** Signed on the account's own side: what is posted, with what open holds would add and take. */
  position(name: string): { posted: bigint; pending: bigint; available: bigint } {
    const account = this.accounts.get(name)!
    const sign = account.normal === 'credit' ? 1n : -1n
    let [takes, brings] = [0n, 0n]
    for (const hold of this.holds.values()) {
      if (!this.isOpen(hold)) continue
      if (hold.from === name) takes += hold.units
      if (hold.to === name) brings += hold.units
    }
    const posted = (account.credits - account.debits) * sign
    const loss = account.normal === 'credit' ? takes : brings
    return { posted, pending: posted + (brings - takes) * sign, available: posted - loss }
  }

  isOpen({ state, until }: ModelHold): boolean {
    return state === 'open' && until > this.now
  }

  /** Empty if it may be posted. `again`: it was. */
  post(kind: 'post' | 'hold', id: string, body: Body, until: number): Set<string> | 'again' {
    const before = this.done.get(id)
    if (before) {
      const same = before.kind === kind && JSON.stringify(textOf(before.body)) === JSON.stringify(textOf(body))
      return same ? 'again' : new Set(['ID_REUSED'])
    }
    const reasons = this.#refusals(body)
    if (reasons.size > 0) return reasons
    this.#move(kind, body)
    if (kind === 'hold') this.holds.set(id, { ...body, until, state: 'open', captured: 0n })
    const over = this.#breaches(body)
    if (over.size > 0) {
      this.#move(kind, { ...body, units: -body.units })
      this.holds.delete(id)
      return over
    }
    this.done.set(id, { kind, body })
    return reasons
  }

  #refusals({ from, to, currency }: Body): Set<string> {
    const reasons = new Set<string>()
    for (const name of [from, to]) {
      const account = this.accounts.get(name)
      if (!account) reasons.add('NOT_FOUND')
      else if (account.currency !== currency) reasons.add('CURRENCY_MISMATCH')
      if (account?.closed) reasons.add('ACCOUNT_CLOSED')
    }
    return reasons
  }

  #move(kind: 'post' | 'hold', { from, to, units }: Body): void {
    if (kind === 'hold') return
    this.accounts.get(from)!.debits += units
    this.accounts.get(to)!.credits += units
  }

  #breaches({ from, to }: Body): Set<string> {
    const codes = new Set<string>()
    // A debit takes from an account of the credit side, and adds to one of the debit side.
    for (const [name, takes] of [
      [from, this.accounts.get(from)!.normal === 'credit'],
      [to, this.accounts.get(to)!.normal === 'debit'],
    ] as const) {
      const { floor, ceiling } = this.accounts.get(name)!
      const { posted, available } = this.position(name)
      if (takes && floor !== undefined && available < floor) codes.add('INSUFFICIENT')
      if (!takes && ceiling !== undefined && posted + this.#coming(name) > ceiling) codes.add('OVER_CEILING')
    }
    return codes
  }

  #coming(name: string): bigint {
    const { normal } = this.accounts.get(name)!
    let sum = 0n
    for (const hold of this.holds.values())
      if (this.isOpen(hold) && (normal === 'credit' ? hold.to : hold.from) === name) sum += hold.units
    return sum
  }

  resolve(id: string, kind: 'capture' | 'void', units: bigint | undefined): Set<string> | 'again' {
    const hold = this.holds.get(id)
    if (!hold) return new Set(['NOT_FOUND'])
    if (hold.state !== 'open') {
      const same = hold.state === kind && (kind === 'void' || (units ?? hold.captured) === hold.captured)
      return same ? 'again' : new Set(['HOLD_RESOLVED'])
    }
    if (hold.until <= this.now) return new Set(['HOLD_EXPIRED'])
    const reasons = new Set<string>()
    if (kind === 'capture' && (units ?? hold.units) > hold.units) reasons.add('BAD_AMOUNT')
    if (reasons.size > 0) return reasons
    hold.state = kind
    if (kind === 'capture') {
      hold.captured = units ?? hold.units
      this.#move('post', { ...hold, units: hold.captured, currency: 'GOLD', ref: undefined })
      const { currency } = this.accounts.get(hold.from)!
      this.done.set(`resolve:${id}`, {
        kind: 'capture',
        body: { from: hold.from, to: hold.to, units: hold.captured, currency, ref: undefined },
      })
    }
    return reasons
  }

  reverse(id: string): Set<string> | 'again' {
    if (this.reversed.has(id)) return 'again'
    const done = this.done.get(id)
    if (!done) return new Set(['NOT_FOUND'])
    if (done.kind === 'hold') return new Set(['BAD_ARGUMENT'])
    const { from, to, units, currency } = done.body
    const body: Body = { from: to, to: from, units, currency, ref: undefined }
    const answer = this.post('post', `reverse:${id}`, body, 0)
    if (answer === 'again' || answer.size > 0) return answer
    this.done.delete(`reverse:${id}`)
    this.reversed.add(id)
    return answer
  }

  close(name: string): Set<string> {
    const account = this.accounts.get(name)
    if (!account) return new Set(['NOT_FOUND'])
    if (account.closed) return new Set()
    const { posted, pending, available } = this.position(name)
    const isHeld = [...this.holds.values()].some(
      (hold) => this.isOpen(hold) && (hold.from === name || hold.to === name),
    )
    if (posted !== 0n || pending !== 0n || available !== 0n || isHeld) return new Set(['ACCOUNT_NOT_EMPTY'])
    account.closed = true
    return new Set()
  }

  /** A copy to try a group on. */
  copy(): Model {
    const copy = new Model()
    copy.now = this.now
    for (const [name, account] of this.accounts) copy.accounts.set(name, { ...account })
    for (const [id, hold] of this.holds) copy.holds.set(id, { ...hold })
    for (const [id, done] of this.done) copy.done.set(id, done)
    for (const id of this.reversed) copy.reversed.add(id)
    return copy
  }
}

function textOf({ from, to, units, currency, ref }: Body): unknown {
  return [from, to, String(units), currency, ref ?? '']
}

export function pick<T>(random: SeededRandom, items: readonly T[]): T {
  return items[random.below(items.length)]!
}
