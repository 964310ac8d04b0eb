/**
 * Heights of nodes, kept as the tree changes: what is known says the same as a walk over all that is below, after whatever was
 * made, moved, deleted, refused or taken back; and a move walks nothing that was walked before. ATE_RUNS and ATE_SEED as elsewhere.
 */
import { expect, it, vi } from 'vitest'
import { toBinaryText } from '../../src/base/bytes.ts'
import { applyTransaction } from '../../src/chain/fold.ts'
import { heightOf, isInList } from '../../src/chain/fold-tree.ts'
import { CommitParser } from '../../src/event/commit-parse.ts'
import { EntityWords, ROOT_ENTITY } from '../../src/event/entity-words.ts'
import { OP } from '../../src/event/format.ts'
import { change, create, type ForgedEvent, type Forger, nameKey } from '../../src/testing/chain-kit.ts'
import { type SeededRandom, seededRandom } from '../../src/testing/random.ts'
import { ChildLists } from '../../src/view/child-lists.ts'
import { Journal } from '../../src/view/journal.ts'
import type { View } from '../../src/view/view.ts'
import { creates, crypto, forger, root } from './kit.ts'

const RUNS = Number(process.env['ATE_RUNS'] ?? 30)
const SEED = Number(process.env['ATE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.log(`ATE_SEED=${SEED}`)
const NOBODY = new EntityWords(1, 2, 3, 4)

/** How many children of each height: by a walk. */
function walked(view: View, row: number): number[] {
  const counts: number[] = []
  for (const list of view.children.of(row)) {
    for (let i = 0; i < list.length; i++) {
      const child = list.items[i]!
      if (!isInList(view, list, i, child)) continue
      const height = walked(view, child).length
      while (counts.length <= height) counts.push(0)
      counts[height]!++
    }
  }
  return counts
}

function expectRight(view: View): void {
  for (const [row, counts] of view.heights)
    expect(
      Array.from(counts, (count) => count ?? 0),
      `row ${row}`,
    ).toEqual(walked(view, row))
}

class Tree {
  readonly chain: Forger = forger()
  readonly random: SeededRandom
  readonly #session = this.chain.session(root)
  readonly #nodes: EntityWords[] = [ROOT_ENTITY]
  readonly codes = new Map<string, number>()

  constructor(seed: number) {
    this.random = seededRandom(seed)
  }

  get #view(): View {
    return this.chain.replica.view
  }

  /** Often one of the newest, so that the tree grows deep. */
  #any(): EntityWords {
    const { length } = this.#nodes
    return this.#nodes[
      this.random.below(3) > 0 ? Math.max(0, length - 1 - this.random.below(4)) : this.random.below(length)
    ]!
  }

  #event(): ForgedEvent {
    const collection = this.random.oneIn(2) ? 'c' : 'd'
    const kind = this.random.below(10)
    if (kind < 3) return create({ parent: this.#any(), collection })
    if (kind < 5) return create({ parent: this.#any(), collection, key: nameKey(`n${this.random.below(3)}`) })
    if (kind < 8) return change(OP.move, this.#any(), { parent: this.#any(), collection })
    return change(OP.delete, this.#any())
  }

  step(): void {
    const { chain, random } = this
    const transactions = Array.from({ length: 1 + random.below(3) }, () => {
      const events = Array.from({ length: 1 + random.below(4) }, () => this.#event())
      // Refused, and taken back, behind all the others.
      if (random.oneIn(4)) events.push(change(OP.delete, NOBODY))
      return chain.tx(...events)
    })
    const record = chain.commit(this.#session, transactions)
    this.#stageAndUndo(record)
    const { outcomes } = chain.feed(record)
    this.#session.fresh = false
    this.#session.mark = chain.replica.trust.certificates.get(toBinaryText(this.#session.id))!.mark
    for (const outcome of outcomes ?? []) {
      const code = outcome?.code ?? 'committed'
      this.codes.set(code, (this.codes.get(code) ?? 0) + 1)
    }
    const view = this.#view
    for (let row = this.#nodes.length; row < view.table.rows; row++) this.#nodes.push(view.wordsOf(row))
    // Some are asked for, and most are not: what is below one that is asked for has to be right when it gets there.
    if (random.oneIn(5)) heightOf(view, 1 + random.below(Math.max(1, view.table.rows - 1)))
    expectRight(view)
  }

  /** One transaction on top of the other; asked for in between; then back, newest first. */
  #stageAndUndo(record: ReturnType<Forger['commit']>): void {
    const { replica } = this.chain
    const commit = new CommitParser(crypto).parse(replica.chainId, record.bytes)
    const certificate = replica.trust.certificates.get(toBinaryText(commit.writer))
    const author = certificate ?? replica.readCertificate(commit.certificate!).certificate
    const time = replica.timeOf(commit.record.admittedAt, commit.at)
    const judge = replica.judgeFor(author, time, record.seq, commit.base.seq)
    const journals: Journal[] = []
    for (const transaction of commit.transactions) {
      const journal = new Journal(replica.view, true)
      if (!applyTransaction(replica, transaction, judge, journal, undefined)) journals.push(journal)
      if (this.random.oneIn(6)) heightOf(replica.view, 1 + this.random.below(Math.max(1, replica.view.table.rows - 1)))
      expectRight(replica.view)
    }
    for (const journal of journals.reverse()) {
      journal.undo()
      expectRight(replica.view)
    }
  }
}

it('what is known of heights is what a walk finds', () => {
  const codes = new Map<string, number>()
  let known = 0
  for (let run = 0; run < RUNS / 3; run++) {
    const tree = new Tree(SEED + run)
    for (let i = 0; i < 60; i++) tree.step()
    for (const [code, count] of tree.codes) codes.set(code, (codes.get(code) ?? 0) + count)
    known += tree.chain.replica.view.heights.size
  }
  for (const code of ['committed', 'TREE_CYCLE', 'NOT_EMPTY', 'NOT_FOUND', 'NAMED_MOVE'])
    expect(codes.get(code) ?? 0, code).toBeGreaterThan(0)
  expect(known).toBeGreaterThan(RUNS / 3)
})

it('a node that is moved again and again is walked once, however many are below it, and whatever changes there', () => {
  const chain = forger()
  const boss = chain.session(root)
  const places = [0, 1].map(() => creates(chain, boss, create({ collection: 'places' })))
  const node = creates(chain, boss, create({ parent: places[0]!, collection: 'c' }))
  const children = Array.from({ length: 1000 }, () => create({ parent: node, collection: 'c' }))
  const made = chain.tx(...children)
  chain.write(boss, [made])
  const events: ForgedEvent[] = []
  for (let i = 1; i <= 100; i++) {
    const child = chain.idOf(root, made, i)
    events.push(
      change(OP.move, node, { parent: places[i % 2]!, collection: 'c' }),
      create({ parent: child, collection: 'c' }),
      change(OP.move, node, { parent: places[(i + 1) % 2]!, collection: 'd' }),
      change(OP.delete, chain.idOf(root, made, 500 + i)),
    )
  }
  // The last one of each is refused, with all that was before it.
  const refused = Array.from({ length: 20 }, () =>
    chain.tx(change(OP.move, node, { parent: places[1]!, collection: 'e' }), change(OP.delete, NOBODY)),
  )
  const looked = vi.spyOn(ChildLists.prototype, 'of')
  try {
    const { outcomes } = chain.write(boss, [...refused, chain.tx(...events), ...refused])
    expect(outcomes?.filter((outcome) => outcome === undefined).length).toBe(1)
    expect(looked.mock.calls.length).toBeLessThan(2000)
  } finally {
    looked.mockRestore()
  }
  expectRight(chain.replica.view)
})
