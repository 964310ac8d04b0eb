/** A random program that does with a ledger what it does with the model, and compares after every step. */
import { type Chain, defineType } from '@ate/core'
import { type SeededRandom, seededRandom } from '@ate/core/testing'
import { expect } from 'vitest'
import { type Amounts, type Currency, type Ledger, ledger, money, type Transfer } from '../src/index.ts'
import { all, codeOf, GOLD, SILVER } from './kit.ts'
import { type Body, Model, pick } from './model.ts'

const NAMES = ['world', 'cash', 'a', 'b', 'c', 'silver', 'pot', 'ghost']
const IDS: readonly string[] = Array.from({ length: 25 }, (_, i) => `id-${i}`)

/** How a ledger is kept: with clear amounts, or sealed, and then with its balances apart, or in pages by some of its handles. */
export type Kept = Amounts | 'paged'

/** Where the chain is, and who opens it next. */
export interface Place {
  open(): Promise<Chain>
  /** Of the clock; undefined where it goes by itself: then no hold expires. */
  readonly advance: ((ms: number) => void) | undefined
}

export class Program {
  readonly random: SeededRandom
  readonly model: Model = new Model()
  readonly #place: Place
  readonly kept: Kept
  chain!: Chain
  bank!: Ledger

  constructor(seed: number, kept: Kept, place: Place) {
    this.random = seededRandom(seed)
    this.kept = kept
    this.#place = place
  }

  async open(): Promise<void> {
    this.chain = await this.#place.open()
    this.bank = this.bankOf(this.chain)
    this.model.now = this.chain.now
  }

  bankOf(chain: Chain): Ledger {
    if (this.kept === 'clear') return ledger(chain, { amounts: 'clear' })
    return ledger(chain, { balances: this.kept === 'paged' && this.random.oneIn(2) ? 'paged' : 'apart' })
  }

  /** Goes on as another client. */
  async use(chain: Chain, bank: Ledger): Promise<void> {
    await chain.refresh()
    this.chain = chain
    this.bank = bank
  }

  async account(
    name: string,
    currency: Currency,
    terms: { normal?: 'debit'; floor?: bigint | 'none'; ceiling?: bigint },
  ): Promise<void> {
    await this.bank.account(name, { currency, ...terms })
    const floor = terms.floor === 'none' ? undefined : (terms.floor ?? 0n)
    this.model.accounts.set(name, {
      currency: currency.code as 'GOLD',
      normal: terms.normal ?? 'credit',
      floor,
      ceiling: terms.ceiling,
      debits: 0n,
      credits: 0n,
      closed: false,
    })
  }

  async begin(): Promise<void> {
    await this.open()
    await this.account('world', GOLD, { floor: 'none' })
    await this.account('cash', GOLD, { normal: 'debit', ceiling: 500n })
    await this.account('a', GOLD, {})
    await this.account('b', GOLD, { floor: -50n, ceiling: 200n })
    await this.account('c', GOLD, { ceiling: 120n })
    await this.account('silver', SILVER, {})
    await this.account('pot', GOLD, {})
  }

  body(): Body {
    const { random } = this
    return {
      from: pick(random, NAMES.slice(0, random.oneIn(9) ? 8 : 5)),
      to: pick(random, NAMES.slice(0, random.oneIn(9) ? 8 : 5)),
      units: BigInt(1 + random.below(random.oneIn(8) ? 400 : 60)),
      currency: random.oneIn(15) ? 'SILVER' : 'GOLD',
      ref: random.oneIn(3) ? pick(random, ['x', 'y']) : undefined,
    }
  }

  transferOf(id: string, { from, to, units, currency, ref }: Body): Transfer {
    const amount = money(currency === 'GOLD' ? GOLD : SILVER, units)
    return { id, from, to, amount, ...(ref === undefined ? {} : { ref }) }
  }

  tick(): void {
    this.model.now = this.chain.now
  }

  async step(): Promise<void> {
    const { random } = this
    this.tick()
    const kind = random.below(12)
    if (kind < 4) await this.transfer()
    else if (kind < 5) await this.group()
    else if (kind < 7) await this.hold()
    else if (kind < 9) await this.resolve()
    else if (kind < 10) await this.reverse()
    else if (random.oneIn(4)) await this.close()
    else this.#place.advance?.(random.below(3000))
    if (random.oneIn(40)) await this.bank.expire()
    if (this.#place.advance && random.oneIn(30)) await this.reopen()
    this.tick()
    for (const name of this.model.accounts.keys()) {
      const { posted, pending, available } = await this.bank.balance(name)
      expect({ name, posted, pending, available }).toEqual({ name, ...this.model.position(name) })
    }
  }

  /** What the model says, `again`, or any of its reasons. */
  async check(answer: Set<string> | 'again', run: Promise<{ existed: boolean }>): Promise<void> {
    if (answer === 'again') expect((await run).existed).toBe(true)
    else if (answer.size === 0) expect((await run).existed).toBe(false)
    else expect([...answer]).toContain(await codeOf(run))
  }

  async transfer(): Promise<void> {
    const id = pick(this.random, IDS)
    const body = this.body()
    if (body.from === body.to) return
    const transfer = this.transferOf(id, body)
    if (this.random.oneIn(5)) {
      await this.check(this.model.copy().post('post', id, body, 0), this.bank.transfer(transfer, { dryRun: true }))
      return
    }
    const answer = this.model.post('post', id, body, 0)
    if (this.random.oneIn(4))
      await this.check(
        answer,
        this.chain.transact((tx) => this.bank.transfer(transfer, { tx })),
      )
    else await this.check(answer, this.bank.transfer(transfer))
  }

  async group(): Promise<void> {
    const ids = [pick(this.random, IDS), pick(this.random, IDS), `own-${this.random.next()}`]
    const bodies = ids.map(() => this.body())
    if (bodies.some(({ from, to }) => from === to) || ids[0] === ids[1]) return
    const trial = this.model.copy()
    const answers = bodies.map((body, i) => trial.post('post', ids[i]!, body, 0))
    const run = this.bank.atomic(bodies.map((body, i) => this.transferOf(ids[i]!, body)))
    const refused = answers.find((answer) => answer !== 'again' && answer.size > 0) as Set<string> | undefined
    if (refused) expect([...refused, 'ID_REUSED']).toContain(await codeOf(run))
    else if (answers.includes('again')) expect(await codeOf(run)).toBe('ID_REUSED')
    else {
      await run
      bodies.forEach((body, i) => void this.model.post('post', ids[i]!, body, 0))
    }
  }

  async hold(): Promise<void> {
    const id = pick(this.random, IDS)
    const body = this.body()
    if (body.from === body.to) return
    const expires = this.#place.advance ? 1 + this.random.below(4000) : 3_600_000
    const answer = this.model.post('hold', id, body, this.chain.now + expires)
    await this.check(answer, this.bank.hold(this.transferOf(id, body), { expires }))
  }

  async resolve(): Promise<void> {
    const ids = [...this.model.holds.keys()]
    const id = ids.length === 0 || this.random.oneIn(10) ? pick(this.random, IDS) : pick(this.random, ids)
    if (this.random.oneIn(3)) {
      await this.check(this.model.resolve(id, 'void', undefined), this.bank.void(id))
      return
    }
    const units = this.random.oneIn(2) ? undefined : BigInt(1 + this.random.below(40))
    const code = this.model.accounts.get(this.model.holds.get(id)?.from ?? '')?.currency === 'SILVER' ? SILVER : GOLD
    const amount = units === undefined ? undefined : money(code, units)
    await this.check(this.model.resolve(id, 'capture', units), this.bank.capture(id, amount))
  }

  async reverse(): Promise<void> {
    const resolved = [...this.model.done.keys()]
    const id = resolved.length > 0 && this.random.oneIn(2) ? pick(this.random, resolved) : pick(this.random, IDS)
    await this.check(this.model.reverse(id), this.bank.reverse(id))
  }

  async close(): Promise<void> {
    const name = pick(this.random, ['pot', 'c', 'ghost', 'silver'])
    const answer = this.model.close(name)
    const code = await codeOf(this.bank.close(name))
    if (answer.size === 0) expect(code).toBe('none')
    else expect([...answer]).toContain(code)
  }

  async reopen(): Promise<void> {
    if (this.random.oneIn(2)) await this.chain.compact()
    await this.chain.close()
    await this.open()
    // Chain time moves with records: until one is written, a reader's clock stands where the last one left it.
    await this.chain.transact((tx) => tx.create(defineType<null>('tick'), null))
  }

  /** The hash of all sums. */
  async end(): Promise<string> {
    for (const { debits, credits } of (await this.bank.trial()).values()) expect(debits).toBe(credits)
    const { entries, root } = await this.bank.verify()
    expect(entries).toBe((await all(this.bank.entries())).length)
    expect((await this.chain.verify()).ok).toBe(true)
    // What the journal says of the end is what the accounts say.
    for (const name of this.model.accounts.keys()) {
      const then = await this.bank.balance(name, { at: this.chain.head.seq })
      const now = await this.bank.balance(name)
      expect([name, then.posted]).toEqual([name, now.posted])
    }
    await this.chain.close()
    return root
  }
}
