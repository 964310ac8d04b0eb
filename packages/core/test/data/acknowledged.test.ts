/** What readers outside see while something is pending, group commits, limits of what may be pending, and outcomes. */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import type { Receipt } from '../../src/chain/staged.ts'
import { KIND } from '../../src/event/format.ts'
import { parseRecordHead } from '../../src/event/record.ts'
import { recordsOf } from '../log/stored-records.ts'
import {
  assertSameAsLog,
  Count,
  codeOf,
  coreOf,
  errorOf,
  memoryChain,
  Note,
  open,
  person,
  quickPlatform,
  reopen,
  Thing,
  turns,
} from './kit.ts'

describe('readers outside', () => {
  it('see nothing of a pending create, update, delete, move, counter or expiry, at any moment', async () => {
    await using kit = await memoryChain()
    const { chain, engine } = kit
    const [box, kept, gone, moved] = await chain.transact((tx) => {
      const box = tx.create(Thing, 'box')
      return [
        box,
        tx.create(Count, { n: 1 }, { counters: { c: { value: 5n } } }),
        tx.create(Count, { n: 2 }),
        tx.create(Count, { n: 3 }),
      ]
    })
    const seen = async (): Promise<unknown> => ({
      values: (await chain.children(Count).page()).map(({ value }) => value.n),
      inBox: (await chain.children(Count, box!).page()).map(({ value }) => value.n),
      count: chain.children(Count).count(),
      kept: (await chain.load(Count, kept!.id)).value.n,
      gone: (await chain.get(Count, gone!.id))?.value.n,
      named: (await chain.named(Count, 'new'))?.value.n,
      counter: chain.counter(kept!, 'c'),
    })
    const before = await seen()
    expect(before).toEqual({
      values: [1, 2, 3],
      inBox: [],
      count: 3,
      kept: 1,
      gone: 2,
      named: undefined,
      counter: 5n,
    })
    // One append is on its way, so that the next ones share the one behind it.
    engine.hold()
    const first = chain.transact((tx) => tx.create(Note, { text: 'first' }))
    await turns()
    const steps: Promise<unknown>[] = [
      chain.transact((tx) => tx.update(kept!, () => ({ n: 10 }))),
      chain.transact((tx) => tx.delete(gone!)),
      chain.transact((tx) => tx.move(moved!, { parent: box! })),
      chain.transact((tx) => tx.create(Count, { n: 4 }, { name: 'new' })),
      chain.transact((tx) => tx.add(kept!, 'c', 2n)),
      chain.transact((tx) => tx.create(Count, { n: 5 }, { parent: box! })),
    ]
    for (let i = 0; i < 3; i++) {
      expect(await seen()).toEqual(before)
      await turns(2)
    }
    expect(chain.stats().pending).toBe(7)
    await assertSameAsLog(chain)
    engine.release()
    engine.hold()
    await first
    expect(await seen()).toEqual(before)
    // More on top of what is on its way, now and then.
    steps.push(chain.transact((tx) => tx.update(kept!, ({ n }) => ({ n: n + 1 }))))
    steps.push(chain.transact((tx) => tx.update(moved!, () => ({ n: 30 }))))
    await turns()
    expect(await seen()).toEqual(before)
    engine.release()
    engine.hold()
    await turns()
    // The second append is acknowledged, the third is on its way.
    const middle = await seen()
    expect(middle).toEqual({
      values: [10, 4],
      inBox: [3, 5],
      count: 2,
      kept: 10,
      gone: undefined,
      named: 4,
      counter: 7n,
    })
    await assertSameAsLog(chain)
    engine.release()
    await Promise.all(steps)
    expect(await seen()).toMatchObject({ values: [11, 4], inBox: [30, 5] })
  })

  it('see nothing of what was taken back', async () => {
    await using kit = await memoryChain()
    const { chain, engine } = kit
    const [kept, named] = await chain.transact((tx) => [
      tx.create(Count, { n: 1 }, { counters: { c: { value: 5n } } }),
      tx.create(Note, { text: 'a' }, { name: 'x', ttl: '1h' }),
    ])
    await chain.transact((tx) => tx.delete(named!))
    engine.failNext = new AteError('DISK_FULL')
    engine.hold()
    const codes: Promise<string>[] = []
    for (const step of [
      () => chain.transact((tx) => tx.update(kept!, () => ({ n: 2 }))),
      () => chain.transact((tx) => tx.add(kept!, 'c', 1n)),
      () => chain.transact((tx) => tx.create(Note, { text: 'b' }, { name: 'x' })),
      () => chain.transact((tx) => tx.role('crew').add(person('bob').publicId)),
      () => chain.transact((tx) => tx.delete(kept!)),
    ]) {
      codes.push(codeOf(step()))
      await turns(2)
    }
    engine.release()
    expect(await Promise.all(codes)).toEqual(Array(5).fill('DISK_FULL'))
    expect((await chain.load(Count, kept!)).value.n).toBe(1)
    expect(chain.counter(kept!, 'c')).toBe(5n)
    expect(await chain.named(Note, 'x')).toBeUndefined()
    await assertSameAsLog(chain)
    await chain.transact((tx) => tx.role('crew').add(person('bob').publicId))
  })
})

describe('a group commit', () => {
  it('puts concurrent calls into one record, and what comes meanwhile into the next', async () => {
    await using kit = await memoryChain()
    const { chain, engine } = kit
    await Promise.all(Array.from({ length: 20 }, (_, n) => chain.transact((tx) => tx.create(Count, { n }))))
    expect(commitsOf(engine.takeAppends())).toEqual([1])
    engine.hold()
    const first = chain.transact((tx) => tx.create(Count, { n: 100 }))
    await turns()
    const later = Array.from({ length: 9 }, (_, n) => chain.transact((tx) => tx.create(Count, { n })))
    await turns()
    engine.release()
    await Promise.all([first, ...later])
    expect(commitsOf(engine.takeAppends())).toEqual([1, 1])
    const receipts = new Set<number>()
    for await (const { seq, kind, transactions } of chain.records({ from: 1 })) {
      if (kind !== 'commit') continue
      receipts.add(seq)
      expect([20, 1, 9]).toContain(transactions.length)
    }
    expect(receipts.size).toBe(3)
  })

  it('is not sunk by a neighbour that conflicts, is refused, or throws', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const kept = await chain.transact((tx) => tx.create(Count, { n: 0 }))
    kit.engine.takeAppends()
    const codes = await Promise.all(
      [
        chain.transact((tx) => tx.create(Count, { n: 1 })),
        chain.transact((tx) => tx.delete('0123456789abcdefghjkmnpq00')),
        chain.transact((tx) => tx.guard.version(kept, 9)),
        chain.transact((tx) => void tx.create(Count, { n: 'x' } as never)),
        chain.transact((tx) => tx.create(Count, { n: 2 })),
      ].map((done) => codeOf(done)),
    )
    const nothing = 'nothing was thrown'
    expect(codes).toEqual([nothing, 'NOT_FOUND', 'TX_RETRIES', 'BAD_VALUE', nothing])
    expect(commitsOf(kit.engine.takeAppends())).toEqual([1])
    await assertSameAsLog(chain)
  })

  it('splits what does not fit into one record, in order', async () => {
    await using kit = await memoryChain()
    const { chain, engine } = kit
    const size = 300_000
    const made = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        chain.transact((tx) => tx.create(Thing, { n, bytes: new Uint8Array(size) })),
      ),
    )
    expect(commitsOf(engine.takeAppends())).toEqual([4])
    await using again = await reopen(kit)
    for (const [n, { id }] of made.entries()) {
      expect(((await again.chain.load(Thing, id)).value as { n: number }).n).toBe(n)
    }
  })

  it('gives up no room for roles with large wraps', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        chain.transact((tx) => {
          tx.create(Note, { text: `${n}` }, { read: [person('alice').publicId, person('bob').publicId] })
        }),
      ),
    )
    await assertSameAsLog(chain)
  })
})

describe('what may be pending', () => {
  it('is bounded: transact waits for room, and begin too', async () => {
    await using kit = await memoryChain()
    const { chain, engine } = kit
    engine.hold()
    const bytes = new Uint8Array(800 * 1024)
    const many = Array.from({ length: 90 }, () => chain.transact((tx) => tx.create(Thing, bytes)))
    await turns()
    const { pending } = chain.stats()
    expect(pending).toBeLessThanOrEqual(82)
    let ran = false
    const waiting = chain.transact(() => {
      ran = true
    })
    await turns()
    expect(ran).toBe(false)
    const abort = new AbortController()
    const given = codeOf(chain.transact(() => 1, { signal: abort.signal }))
    abort.abort(new AteError('BAD_ARGUMENT'))
    engine.release()
    await Promise.all([...many, waiting])
    expect(ran).toBe(true)
    expect(['BAD_ARGUMENT', 'nothing was thrown']).toContain(await given)
    expect(chain.stats().entities).toBe(90)
  }, 30_000)
})

describe('durability', () => {
  it('is named in the receipt; what an engine cannot reach is refused before anything runs', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/d', { as: person('alice') }, platform)
    const reached = async (durability?: 'memory' | 'os' | 'disk'): Promise<string> => {
      await using tx = chain.begin(durability ? { durability } : {})
      tx.create(Note, { text: 'a' })
      return (await tx.commit()).durability
    }
    expect([await reached(), await reached('disk'), await reached('os')]).toEqual(['disk', 'disk', 'os'])
    const { syncs } = platform.disk('/d').counts
    await chain.transact((tx) => tx.create(Note, { text: 'b' }), { durability: 'os' })
    expect(platform.disk('/d').counts.syncs).toBe(syncs)
    let ran = false
    const run = (): void => {
      ran = true
    }
    const quorum = chain.transact(run, { durability: 'quorum' })
    expect(await codeOf(quorum)).toBe('DURABILITY_UNAVAILABLE')
    expect(await codeOf(chain.transact(run, { durability: 'safe' as never }))).toBe('BAD_ARGUMENT')
    expect(ran).toBe(false)
    // The strongest level of a group counts for all of it.
    const both = await Promise.all([
      chain.transact((tx) => tx.create(Note, { text: 'c' }), { durability: 'os' }),
      chain.transact((tx) => tx.create(Note, { text: 'd' }), { durability: 'disk' }),
    ])
    expect(both.length).toBe(2)
    await chain.close()
    platform.disk('/d').crash()
    const again = await open('file:/d', { as: person('alice') }, platform)
    expect(again.stats().entities).toBe(6)
    await again.close()
    await using kit = await memoryChain()
    expect(await codeOf(kit.chain.transact(() => 1, { durability: 'os' }))).toBe('DURABILITY_UNAVAILABLE')
  })
})

describe('outcomes', () => {
  it('INDETERMINATE after an abort that comes too late, and the id tells what became of it', async () => {
    await using kit = await memoryChain()
    const { chain, engine } = kit
    engine.hold()
    const abort = new AbortController()
    const done = errorOf(chain.transact((tx) => tx.create(Count, { n: 1 }), { signal: abort.signal }))
    await turns()
    abort.abort(new Error('enough'))
    const error = await done
    expect([error.code, (error.cause as Error).message]).toEqual(['INDETERMINATE', 'enough'])
    const txId = String(error.facts['txId'])
    const pending = chain.outcome(txId)
    engine.release()
    const receipt = (await pending)!
    expect(receipt).toMatchObject({ txId, seq: 1, durability: 'memory' })
    await using again = await reopen(kit)
    expect(await again.chain.outcome(txId)).toMatchObject({ txId, seq: 1, at: receipt.at })
    expect(await again.chain.outcome(txId.replace(/^./, (c) => (c === '0' ? '1' : '0')))).toBeUndefined()
    expect(await codeOf(again.chain.outcome('nonsense'))).toBe('BAD_ID')
    expect(await codeOf(again.chain.outcome(undefined as never))).toBe('BAD_ID')
  })

  it('an abort that comes in time leaves nothing, and passes its reason on', async () => {
    await using kit = await memoryChain()
    const reason = new Error('enough')
    const early = AbortSignal.abort(reason)
    await expect(kit.chain.transact((tx) => tx.create(Count, { n: 1 }), { signal: early })).rejects.toBe(reason)
    const abort = new AbortController()
    const during = kit.chain.transact(
      async (tx) => {
        abort.abort(reason)
        tx.create(Count, { n: 1 })
      },
      { signal: abort.signal },
    )
    await expect(during).rejects.toBe(reason)
    for (const read of [
      kit.chain.get(Count, kit.chain.id, { signal: early }),
      kit.chain.named(Count, 'x', { signal: early }),
      kit.chain.children(Count, undefined, undefined, { signal: early }).page(),
    ]) {
      await codeOf(read.catch((error) => expect([reason, 'BAD_ID']).toContain(error === reason ? reason : error.code)))
    }
    expect(kit.chain.head.seq).toBe(0)
    expect(coreOf(kit.chain).staging.size).toBe(0)
  })

  it('a pending transaction that is taken back tells who asked for its outcome', async () => {
    await using kit = await memoryChain()
    kit.engine.hold()
    const abort = new AbortController()
    const done = errorOf(kit.chain.transact((tx) => tx.create(Count, { n: 1 }), { signal: abort.signal }))
    await turns()
    abort.abort()
    const asked = codeOf(kit.chain.outcome(String((await done).facts['txId'])) as Promise<Receipt>)
    kit.engine.failNext = new AteError('DISK_FULL')
    kit.engine.release()
    expect(await asked).toBe('DISK_FULL')
    expect(await kit.chain.outcome(String((await done).facts['txId']))).toBeUndefined()
  })
})

describe('a chain that closes', () => {
  it('keeps what it acknowledged of many that come while it closes, and nothing else', async () => {
    await using kit = await memoryChain()
    const codes = Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        codeOf(
          kit.chain.transact(async (tx) => {
            await turns(n % 3)
            tx.create(Count, { n })
          }),
        ),
      ),
    )
    await turns(1)
    await kit.chain.close()
    const given = await codes
    expect(new Set(given)).toEqual(new Set(['nothing was thrown', 'CHAIN_CLOSED']))
    await using again = await reopen(kit)
    expect(again.chain.stats().entities).toBe(given.filter((code) => code !== 'CHAIN_CLOSED').length)
  })

  it('waits for what is staged, takes nothing more, and every call says CHAIN_CLOSED', async () => {
    await using kit = await memoryChain()
    const { chain, store } = kit
    const note = await chain.transact((tx) => tx.create(Note, { text: 'a' }))
    const tx = chain.begin()
    const children = chain.children(Note)
    const staged = chain.transact((tx) => tx.create(Note, { text: 'b' }))
    const closing = chain.close()
    expect(await codeOf(chain.transact((tx) => tx.create(Note, { text: 'c' })))).toBe('CHAIN_CLOSED')
    await Promise.all([staged, closing, chain.close()])
    expect(recordsOf(store).map(({ bytes }) => parseRecordHead(bytes).kind)).toEqual([
      KIND.genesis,
      KIND.commit,
      KIND.commit,
      KIND.attestation,
    ])
    for (const call of [
      () => chain.get(Note, note),
      () => chain.load(Note, note),
      () => chain.named(Note, 'x'),
      () => chain.child(Note, undefined),
      () => chain.find(Note, 'x', 1),
      () => chain.children(Note),
      () => children.page(),
      () => children[Symbol.asyncIterator]().next(),
      () => chain.counter(note, 'c'),
      () => chain.events(),
      () => chain.watch(),
      () => chain.records(),
      () => chain.verify(),
      () => chain.checkpoint(),
      () => chain.adopt('x'),
      () => chain.reseal(note),
      () => chain.sweep(),
      () => chain.outcome('00000000000000000000000000'),
      () => chain.refresh(),
      () => chain.begin(),
      () => tx.create(Note, { text: 'd' }),
      () => tx.commit(),
    ]) {
      expect([String(call), await codeOf(call)]).toEqual([String(call), 'CHAIN_CLOSED'])
    }
    expect(chain.id).toBe(note.chain)
    await chain.close()
  })
})

/** How many commits each append had. */
function commitsOf(appends: readonly (readonly { readonly bytes: Uint8Array }[])[]): number[] {
  return appends.map((records) => records.filter(({ bytes }) => parseRecordHead(bytes).kind === KIND.commit).length)
}
