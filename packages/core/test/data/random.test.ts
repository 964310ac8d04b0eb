/**
 * The most important property of the pipeline: what was staged and acknowledged is what everyone else folds from the
 * log, under any interleaving of transactions, failed appends, sweeps, jumps of the clock, and changes of session.
 * fast-check prints the seed and the shortest list of commands that breaks it. ATE_RUNS sets the number of runs.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AteError, isAteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import type { Entity } from '../../src/data/entity.ts'
import { role } from '../../src/data/policy-input.ts'
import type { Transaction } from '../../src/data/transaction.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { GatedEngine } from '../../src/testing/gated-engine.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { replicaDigest, visibleDigest } from '../../src/testing/view-digest.ts'
import {
  assertReadable,
  assertSameAsLog,
  Count,
  coreOf,
  freshReplica,
  open,
  person,
  quickPlatform,
  turns,
} from './kit.ts'

const RUNS = Number(process.env['ATE_RUNS'] ?? 30)

/** What these commands can rightly be refused for. A code that is not here is a mistake of ours. */
const EXPECTED: ReadonlySet<string> = new Set([
  'CONFLICT',
  'COUNTER_BOUNDS',
  'DISK_FULL',
  'INDETERMINATE',
  'LOCKED',
  'NEEDS_REKEY',
  'NAMED_MOVE',
  'NAME_TAKEN',
  'NOT_AUTHORIZED',
  'NOT_EMPTY',
  'NOT_EXPIRED',
  'NOT_FOUND',
  'NO_COUNTER',
  'NO_READ_KEY',
  'NO_ROLE',
  'RETAINED',
  'RETAIN_SHRINKS',
  'STALE_BASE',
  'STALE_EPOCH',
  'TREE_CYCLE',
  'TREE_DEPTH',
  'TX_RETRIES',
  'WRONG_TYPE',
])

type Command = readonly [name: keyof typeof COMMANDS, x: number, y: number]

class World {
  readonly platform: TestPlatform = quickPlatform(3)
  readonly store = memoryStore()
  engine!: GatedEngine
  chain!: Chain
  readonly entities: Entity<Count>[] = []
  readonly acknowledged: Set<string> = new Set()
  readonly unknown: Set<string> = new Set()
  readonly running: Promise<void>[] = []
  who = 'alice'

  async openAs(who: string): Promise<void> {
    this.engine = new GatedEngine(memoryEngine(this.store))
    const id = this.store.label ? this.chain.id : undefined
    this.chain = await open(this.engine, { as: person(who), ...(id ? { id } : {}) }, this.platform)
    this.who = who
  }

  pick(x: number): Entity<Count> | undefined {
    return this.entities[x % (this.entities.length + 1)]
  }

  /** Starts a transaction and goes on; what became of it is noted. */
  run(work: (tx: Transaction) => unknown, signal?: AbortSignal): void {
    let last: Transaction | undefined
    const done = this.chain
      .transact(
        async (tx) => {
          last = tx
          await work(tx)
        },
        signal ? { signal } : {},
      )
      .then(
        () => void this.acknowledged.add(last!.receipt!.txId),
        (error) => this.note(error),
      )
    this.running.push(done)
  }

  note(error: unknown): void {
    if (!isAteError(error) || !EXPECTED.has(error.code)) throw error
    if (error.code === 'INDETERMINATE') this.unknown.add(String(error.facts['txId']))
  }

  async settle(): Promise<void> {
    this.engine.release()
    await Promise.all(this.running.splice(0))
    await coreOf(this.chain).settled()
  }

  async reopenAs(who: string): Promise<void> {
    await this.settle()
    await assertSameAsLog(this.chain)
    await this.chain.close()
    await this.openAs(who)
    await assertSameAsLog(this.chain)
  }
}

const COMMANDS = {
  create(world: World, x: number, y: number) {
    const parent = world.pick(x)
    world.run((tx) => {
      const made = tx.create(Count, { n: y }, parent ? { parent } : {})
      world.entities.push(made)
    })
  },
  createNamed(world: World, x: number, y: number) {
    world.run((tx) => {
      world.entities.push(tx.create(Count, { n: y }, { name: `name ${x % 4}` }))
    })
  },
  putNamed(world: World, x: number, y: number) {
    world.run((tx) => {
      world.entities.push(tx.put(Count, `name ${x % 4}`, { n: y }, y % 3 === 0 ? { ttl: 5 + y } : {}))
    })
  },
  update(world: World, x: number, y: number) {
    const entity = world.pick(x)
    if (entity) world.run((tx) => tx.update(Count, entity, ({ n }) => ({ n: n + y })))
  },
  updateTwice(world: World, x: number, y: number) {
    const entity = world.pick(x)
    const other = world.pick(y)
    if (!entity || !other) return
    world.run(async (tx) => {
      await tx.update(Count, entity, ({ n }) => ({ n: n + 1 }))
      await turns(y % 3)
      await tx.update(Count, other, ({ n }) => ({ n: n + 1 }))
    })
  },
  readAndCreate(world: World, x: number, y: number) {
    const parent = world.pick(x)
    world.run(async (tx) => {
      let sum = 0
      for await (const child of tx.children(Count, parent)) sum += child.value.n
      tx.create(Count, { n: sum + y }, parent ? { parent } : {})
    })
  },
  remove(world: World, x: number) {
    const entity = world.pick(x)
    if (entity) world.run((tx) => tx.delete(entity))
  },
  removeAndMakeAgain(world: World, x: number, y: number) {
    world.run(async (tx) => {
      const entity = await tx.named(Count, `name ${x % 4}`)
      if (entity) tx.delete(entity)
      tx.create(Count, { n: y }, { name: `name ${x % 4}` })
    })
  },
  forget(world: World, x: number) {
    const entity = world.pick(x)
    if (entity) world.run((tx) => tx.forget(entity))
  },
  move(world: World, x: number, y: number) {
    const entity = world.pick(x)
    const parent = world.pick(y)
    if (entity) world.run((tx) => tx.move(entity, parent ? { parent } : { in: 'elsewhere' }))
  },
  counters(world: World, _x: number, y: number) {
    world.run((tx) => {
      const counters = { left: { value: BigInt(y), floor: 0n, ceiling: 40n }, free: {} }
      world.entities.push(tx.create(Count, { n: y }, { counters }))
    })
  },
  count(world: World, x: number, y: number) {
    const entity = world.pick(x)
    if (entity) world.run((tx) => tx.add(entity, y % 2 ? 'left' : 'free', BigInt((y % 16) - 8)))
  },
  expire(world: World, x: number, y: number) {
    const entity = world.pick(x)
    if (entity) world.run((tx) => tx.expire(entity, y % 4 === 0 ? {} : { ttl: y }))
  },
  retain(world: World, x: number, y: number) {
    const entity = world.pick(x)
    if (entity) world.run((tx) => tx.retain(entity, { retain: world.chain.now + y * 10 }))
  },
  sweep(world: World) {
    world.running.push(
      world.chain.sweep().then(
        () => undefined,
        (error) => world.note(error),
      ),
    )
  },
  compact(world: World) {
    world.running.push(
      world.chain.compact().then(
        () => undefined,
        (error) => world.note(error),
      ),
    )
  },
  checkpoint(world: World) {
    world.running.push(
      world.chain.checkpoint().then(
        () => undefined,
        (error) => world.note(error),
      ),
    )
  },
  crew(world: World, x: number) {
    world.run((tx) => tx.role('crew').add(person(x % 2 ? 'bob' : 'carol').publicId))
  },
  uncrew(world: World, x: number) {
    world.run((tx) => tx.role('crew').remove(person(x % 2 ? 'bob' : 'carol').publicId))
  },
  garage(world: World, x: number, y: number) {
    world.run((tx) => {
      tx.role('crew').add(person('bob').publicId)
      const history = y % 2 ? ('live' as const) : ('all' as const)
      const made = tx.create(Count, { n: x }, { read: [role('crew')], write: [role('crew')], history })
      world.entities.push(made, tx.create(Count, { n: y }, { parent: made }))
    })
  },
  policy(world: World, x: number, y: number) {
    const entity = world.pick(x)
    if (!entity) return
    const read = y % 3 === 0 ? ('everyone' as const) : [person('alice').publicId]
    world.run((tx) => tx.setPolicy(entity, y % 2 ? { read } : { write: [person('alice').publicId, role('crew')] }))
  },
  reseal(world: World, x: number) {
    const entity = world.pick(x)
    if (!entity) return
    // Its own transaction has no handle that tells the id: it counts as one whose author does not wait.
    const known = new Set(world.acknowledged)
    const { chain } = world
    world.running.push(
      chain.reseal(entity, { limit: 3 }).then(
        async () => {
          for await (const { transactions } of chain.records()) {
            for (const { txId } of transactions) if (!known.has(txId)) world.unknown.add(txId)
          }
        },
        (error) => world.note(error),
      ),
    )
  },
  async reader(world: World) {
    const engine = memoryEngine(world.store, { readOnly: true })
    const options = { as: person('bob'), id: world.chain.id, readOnly: true } as const
    const reader = await open(engine, options, quickPlatform(8))
    expect(visibleDigest(coreOf(reader).replica.view)).toBe(visibleDigest((await freshReplica(engine)).view))
    await turns(2)
    await Promise.all([reader.refresh(), reader.refresh()])
    expect(replicaDigest(coreOf(reader).replica)).toBe(replicaDigest(await freshReplica(engine)))
    await reader.close()
  },
  endWriter(world: World, x: number) {
    const writers = world.chain.writers().filter(({ ended }) => !ended)
    const writer = writers[x % (writers.length + 1)]
    if (writer) world.run((tx) => tx.endWriter(writer.id))
  },
  abort(world: World, x: number, y: number) {
    const entity = world.pick(x)
    const abort = new AbortController()
    if (entity) world.run((tx) => tx.update(Count, entity, () => ({ n: y })), abort.signal)
    world.running.push(turns(y % 3).then(() => abort.abort(new AteError('INDETERMINATE', { txId: 'none' }))))
  },
  later(world: World, _x: number, y: number) {
    world.platform.advance(y * 60)
  },
  muchLater(world: World) {
    world.platform.advance(23.5 * 3_600_000)
  },
  clockBack(world: World, _x: number, y: number) {
    world.platform.setWallClock(1_700_000_000_000 + y * 100)
  },
  hold(world: World) {
    world.engine.hold()
  },
  release(world: World) {
    world.engine.release()
  },
  diskFull(world: World) {
    world.engine.failNext = new AteError('DISK_FULL')
  },
  async look(world: World) {
    await turns(2)
    const fresh = await freshReplica(world.engine)
    expect(visibleDigest(coreOf(world.chain).replica.view)).toBe(visibleDigest(fresh.view))
  },
  pause: (_world: World, x: number) => turns(1 + (x % 3)),
  session: (world: World, x: number) => world.reopenAs(['alice', 'bob', 'carol'][x % 3]!),
}

async function play(commands: readonly Command[]): Promise<void> {
  const world = new World()
  await world.openAs('alice')
  for (const [name, x, y] of commands) await COMMANDS[name](world, x, y)
  await world.settle()
  world.engine.failNext = undefined
  await assertSameAsLog(world.chain)
  await assertReadable(world.chain)
  const before = coreOf(world.chain).replica
  expect(before.voids.size).toBe(0)
  await assertOutcomes(world)
  await world.chain.close()
  const digest = replicaDigest(before)
  await world.openAs('alice')
  expect(replicaDigest(coreOf(world.chain).replica)).toBe(digest)
  // What a full disk kept from being attested is attested by the next session of its author.
  await world.reopenAs('alice')
  expect((await world.chain.verify()).problems).toEqual([])
  for (const { identity, unattested } of world.chain.writers()) {
    if (identity === person('alice').fingerprint) expect(unattested).toBe(0)
  }
  await world.chain.close()
}

/** Every transaction on the log is one that was acknowledged, or whose author stopped waiting; none twice, none more. */
async function assertOutcomes({ chain, acknowledged, unknown }: World): Promise<void> {
  const found = new Set<string>()
  for await (const record of chain.records()) {
    for (const { txId } of record.transactions) {
      expect(found.has(txId)).toBe(false)
      found.add(txId)
      expect(acknowledged.has(txId) || unknown.has(txId)).toBe(true)
    }
  }
  for (const txId of acknowledged) expect(found.has(txId)).toBe(true)
}

const command: fc.Arbitrary<Command> = fc.tuple(
  fc.constantFrom(...(Object.keys(COMMANDS) as (keyof typeof COMMANDS)[])),
  fc.nat(15),
  fc.nat(40),
)

describe('what is acknowledged is what the log folds to', () => {
  it('where a writer is ended while its successor is on its way, and the disk is full for that', async () => {
    const names = ['create', 'pause', 'create', 'endWriter', 'muchLater', 'create', 'create', 'diskFull', 'create']
    await play(names.map((name) => [name as Command[0], 0, 0]))
  })

  it(
    `under ${RUNS} random concurrent workloads`,
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 60, size: 'max' }), (commands) => play(commands)),
        { numRuns: RUNS, ...(process.env['ATE_FC_SEED'] ? { seed: Number(process.env['ATE_FC_SEED']) } : {}) },
      )
    },
    Number(process.env['ATE_TEST_TIMEOUT_MS'] ?? 600_000),
  )
})
