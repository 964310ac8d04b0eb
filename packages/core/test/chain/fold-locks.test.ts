/**
 * Locks: what is written once, holds that end, and time that witnesses have signed. Whoever writes here has every key of the
 * chain, and makes his records by hand.
 */
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { chainIdOf } from '../../src/base/ids.ts'
import { HOLDS } from '../../src/chain/fold-locks.ts'
import { maySweep } from '../../src/chain/replica.ts'
import { checkpointOrigin } from '../../src/event/checkpoint.ts'
import { encodeCheckpoint } from '../../src/event/checkpoint-encode.ts'
import { cosignatureLine } from '../../src/event/cosignature.ts'
import { type EntityWords, ROOT_ENTITY } from '../../src/event/entity-words.ts'
import { KIND, OP } from '../../src/event/format.ts'
import { addLines, parseNote } from '../../src/event/note.ts'
import type { RareFields } from '../../src/event/rare-fields.ts'
import { change, create, type ForgedSession, type Forger } from '../../src/testing/chain-kit.ts'
import { stateText } from './digest.ts'
import { ann, boxChain, commits, creates, crypto, forger, outcomesOf, type Part, refuses, root } from './kit.ts'
import { resumed, snapshotOf } from './snapshot-kit.ts'

const NAMES = ['w1', 'w2', 'w3', 'w4'] as const
const signers = new Map(
  [...NAMES, 'x1', 'x2', 'x3'].map((name) => [name, crypto.ed25519Signer(crypto.sha256(utf8(`locks/${name}`)))]),
)

function witnesses(names: readonly string[] = NAMES, quorum = 3): NonNullable<RareFields['witnesses']> {
  return { keys: names.map((name) => ({ name, key: signers.get(name)!.publicKey })), quorum }
}

/** A checkpoint in the log that these witnesses have signed at these times; `forged` signs with a key that is not theirs. */
function witnessed(chain: Forger, times: Readonly<Record<string, number>>, how: 'signed' | 'forged' = 'signed'): void {
  const { tree } = chain.replica
  const checkpoint = { origin: checkpointOrigin(chainIdOf(chain.chainId)), size: tree.size, root: tree.root() }
  const note = encodeCheckpoint(crypto, checkpoint, chain.checkpointSigner)
  const lines = Object.entries(times).map(([name, at]) => {
    const { publicKey, sign } = signers.get(name)!
    const key = { publicKey, sign: how === 'signed' ? sign : () => new Uint8Array(64).fill(1) }
    return cosignatureLine(crypto, parseNote(note), { name, key, seconds: Math.floor(at / 1000) })
  })
  chain.replica.accept(chain.other(KIND.checkpoint, addLines(note, lines)))
}

interface Archive {
  readonly chain: Forger
  readonly boss: ForgedSession
  readonly shelf: EntityWords
  /** Locked, with a child and a grandchild below it. */
  readonly kept: EntityWords
  readonly part: EntityWords
  readonly crumb: EntityWords
}

/** `retain` counts from now, ms. */
function archive(lock: RareFields['lock'], retain: number, set?: RareFields['witnesses']): Archive {
  const chain = forger()
  const boss = chain.session(root)
  const shelf = creates(chain, boss, create({ collection: 's', ...(set ? { rare: { witnesses: set } } : {}) }))
  const counters = [{ name: 'n', value: 0n }]
  const kept = creates(chain, boss, create({ parent: shelf, collection: 'c', body: chain.body(), rare: { counters } }))
  const part = creates(chain, boss, create({ parent: kept, collection: 'p', body: chain.body(), rare: { ttl: 10 } }))
  const crumb = creates(chain, boss, create({ parent: part, collection: 'p', body: chain.body(), rare: { ttl: 10 } }))
  const rare = { lock, ...(retain === 0 ? {} : { retain: chain.time + retain }) } as RareFields
  commits(chain, boss, change(OP.retain, kept, { rare }))
  return { chain, boss, shelf, kept, part, crumb }
}

const codes = (chain: Forger, by: ForgedSession, ...parts: Part[]): string =>
  outcomesOf(chain.write(by, [chain.tx(...parts)]))[0]!

function remove(entity: EntityWords, bypass?: 'governance'): Part {
  return change(OP.delete, entity, bypass ? { rare: { bypass } } : {})
}

describe('what is locked', () => {
  it('is written once, also when its time is over, and so is all that is below it', () => {
    for (const retain of [0, 1000]) {
      const { chain, boss, shelf, kept, part, crumb } = archive('governance', retain)
      for (let round = 0; round < 2; round++) {
        for (const entity of [kept, part, crumb]) {
          for (const event of [
            change(OP.put, entity, { body: chain.body() }),
            change(OP.move, entity, { parent: shelf, collection: 'other' }),
            change(OP.expire, entity, { rare: { ttl: 0 } }),
            create({ parent: entity, collection: 'more', body: chain.body() }),
          ])
            expect(['WRITE_ONCE', 'RETAINED']).toContain(codes(chain, boss, event))
        }
        expect(codes(chain, boss, change(OP.add, kept, { rare: { counter: 'n', amount: 1n } }))).toBe('WRITE_ONCE')
        const outside = creates(chain, boss, create({ collection: 'o' }))
        refuses(chain, boss, [change(OP.move, outside, { parent: part, collection: 'x' })], 'WRITE_ONCE')
        chain.time += 5000
      }
      const before = chain.replica.view.table.find(crumb.a, crumb.b, crumb.c, crumb.d)
      expect(maySweep(chain.replica.view, before, chain.time + 1e6)).toBe(false)
      chain.replica.accept(chain.sweep([crumb, part]))
      expect(chain.replica.view.isDead(before)).toBe(false)
      commits(chain, boss, remove(crumb), remove(part), remove(kept))
    }
  })

  it('is not deleted before its time, no part of it, whoever asks', () => {
    const { chain, boss, kept, part, crumb } = archive('compliance', 1000, witnesses())
    const facts = { until: chain.time + 1000 }
    refuses(chain, boss, [remove(crumb)], 'RETAINED', facts)
    refuses(chain, boss, [remove(crumb, 'governance'), remove(part), remove(kept)], 'RETAINED', facts)
    refuses(chain, boss, [remove(kept)], 'RETAINED', facts)
    // Nor by an exchange of what is above it, nor by a policy that keeps everybody out.
    refuses(chain, boss, [change(OP.retain, kept, { rare: { retain: 0 } })], 'RETAIN_SHRINKS')
    commits(chain, boss, change(OP.policy, kept, { rare: { policy: { write: [root.id] } } }))
    refuses(chain, boss, [remove(crumb)], 'RETAINED', facts)
  })

  it('takes nothing more from the event on that locks it, within one transaction too', () => {
    const { chain, boss, shelf } = archive('governance', 0)
    const free = creates(chain, boss, create({ parent: shelf, collection: 'c' }))
    const child = (): Part => create({ parent: free, collection: 'p' })
    refuses(chain, boss, [child(), change(OP.retain, free, { rare: { lock: 'governance' } }), child()], 'WRITE_ONCE')
    commits(chain, boss, child(), change(OP.retain, free, { rare: { lock: 'governance' } }))
  })

  it('is kept by each lock above it', () => {
    const { chain, boss, part, crumb } = archive('compliance', 1000, witnesses())
    commits(chain, boss, change(OP.retain, part, { rare: { lock: 'governance' } }))
    refuses(chain, boss, [remove(crumb, 'governance')], 'RETAINED')
  })

  it('is not hidden by an expiry that came before', () => {
    const { chain, part } = archive('governance', 0)
    const { view } = chain.replica
    const row = view.table.find(part.a, part.b, part.c, part.d)
    const now = chain.time + 1000
    for (const state of ['staged', 'acknowledged'] as const) expect(view.isExpired(row, now, state)).toBe(false)
    const free = archive(undefined, 0).chain.replica.view
    const other = free.table.find(part.a, part.b, part.c, part.d)
    for (const state of ['staged', 'acknowledged'] as const) expect(free.isExpired(other, now, state)).toBe(true)
  })

  it('takes the root of the tree out', () => {
    const { chain, boss } = archive('governance', 1000)
    const { view } = chain.replica
    refuses(chain, boss, [change(OP.retain, view.wordsOf(0), { rare: { lock: 'compliance' } })], 'NOT_AUTHORIZED')
  })

  it('is locked by who manages above, or is allowed to', () => {
    const { chain, writer, box } = boxChain()
    const mine = creates(chain, writer, create({ parent: box, collection: 'c', body: chain.body() }))
    refuses(chain, writer, [change(OP.retain, mine, { rare: { lock: 'governance' } })], 'NOT_AUTHORIZED')
    refuses(chain, writer, [create({ parent: box, collection: 'c', rare: { lock: 'governance' } })], 'NOT_AUTHORIZED')
    refuses(
      chain,
      writer,
      [create({ parent: box, collection: 'c', rare: { witnesses: witnesses() } })],
      'NOT_AUTHORIZED',
    )
  })

  it('is nothing that older levels know', () => {
    const chain = forger({ parameters: { level: 3 } })
    const boss = chain.session(root)
    const thing = creates(chain, boss, create({ collection: 'c' }))
    const needs = { level: 3, needs: 4 }
    const fields: RareFields[] = [{ lock: 'governance' }, { witnesses: witnesses() }, { digest: new Uint8Array(32) }]
    for (const rare of fields) refuses(chain, boss, [change(OP.retain, thing, { rare })], 'LEVEL_TOO_LOW', needs)
    refuses(chain, boss, [remove(thing, 'governance')], 'LEVEL_TOO_LOW', needs)
    commits(chain, boss, create({ parent: thing, collection: HOLDS }))
  })

  it('is not opened by what older levels took for a hold', () => {
    const chain = forger({ parameters: { level: 3 } })
    const boss = chain.session(root)
    const top = creates(chain, boss, create({ collection: 'c' }))
    const middle = creates(chain, boss, create({ parent: top, collection: 'c' }))
    const old = creates(chain, boss, create({ parent: middle, collection: HOLDS }))
    commits(chain, boss, change(OP.root, ROOT_ENTITY, { rare: { root: { level: 4 } } }))
    commits(chain, boss, change(OP.retain, top, { rare: { lock: 'compliance', retain: chain.time + 1000 } }))
    refuses(chain, boss, [remove(old)], 'RETAINED')
  })

  it('goes at its time, to the ms, and not while holds of its own have names', () => {
    const { chain, boss, kept, part, crumb } = archive('governance', 1000)
    chain.time += 999
    refuses(chain, boss, [remove(crumb)], 'RETAINED')
    chain.time += 1
    commits(chain, boss, remove(crumb))
    commits(chain, boss, change(OP.retain, kept, { rare: { holds: ['matter'] } }))
    refuses(chain, boss, [remove(part)], 'RETAINED')
  })

  it('is sealed for its own readers', () => {
    const { chain, boss } = { chain: forger(), boss: undefined as unknown as ForgedSession }
    const by = boss ?? chain.session(root)
    const policy = { read: [root.id] }
    const rare = { policy, epoch: chain.epoch(0, [root.id]), retain: chain.time + 5 }
    const tx = chain.tx(create({ collection: 'c', rare, body: chain.body() }))
    expect(outcomesOf(chain.write(by, [tx]))).toEqual(['STALE_EPOCH'])
    // Below level 4 only what is not kept.
    const old = forger({ parameters: { level: 3 } })
    const own = { policy, epoch: old.epoch(0, [root.id]) }
    refuses(old, old.session(root), [create({ collection: 'c', rare: own, body: old.body() })], 'STALE_EPOCH')
  })
})

describe('modes', () => {
  it('governance ends early for who manages above and says so, and for nobody else', () => {
    const { chain, boss, writer, box } = { ...boxChain() }
    commits(chain, boss, change(OP.policy, box, { rare: { policy: { allow: [ann.id] } } }))
    const kept = creates(chain, writer, create({ parent: box, collection: 'c', body: chain.body() }))
    commits(chain, writer, change(OP.retain, kept, { rare: { lock: 'governance', retain: chain.time + 1000 } }))
    refuses(chain, writer, [remove(kept)], 'RETAINED')
    refuses(chain, writer, [remove(kept, 'governance')], 'RETAINED')
    refuses(chain, boss, [remove(kept)], 'RETAINED')
    commits(chain, boss, remove(kept, 'governance'))
  })

  it('only get stronger', () => {
    const { chain, boss, kept, crumb } = archive('governance', 1000, witnesses())
    commits(chain, boss, change(OP.retain, kept, { rare: { lock: 'compliance' } }))
    refuses(chain, boss, [change(OP.retain, kept, { rare: { lock: 'governance' } })], 'RETAIN_SHRINKS', {
      mode: 'compliance',
    })
    refuses(chain, boss, [remove(crumb, 'governance')], 'RETAINED')
  })
})

describe('holds', () => {
  it('keep it until the last is deleted, whatever its time and mode', () => {
    const { chain, boss, kept, part, crumb } = archive('governance', 0)
    const one = creates(chain, boss, create({ parent: kept, collection: HOLDS, body: chain.body() }))
    const two = creates(chain, boss, create({ parent: kept, collection: HOLDS }))
    refuses(chain, boss, [remove(crumb, 'governance')], 'RETAINED', { held: 2 })
    commits(chain, boss, remove(one))
    refuses(chain, boss, [remove(crumb)], 'RETAINED', { held: 1 })
    commits(chain, boss, remove(two), remove(crumb), remove(part), remove(kept))
  })

  it('are put and released, and nothing else; and only at what is locked', () => {
    const { chain, boss, shelf, kept, part } = archive('governance', 0)
    const hold = creates(chain, boss, create({ parent: kept, collection: HOLDS, body: chain.body() }))
    refuses(chain, boss, [change(OP.put, hold, { body: chain.body() })], 'WRITE_ONCE')
    refuses(chain, boss, [change(OP.move, hold, { parent: shelf, collection: 'x' })], 'WRITE_ONCE')
    refuses(chain, boss, [change(OP.expire, hold, { rare: { ttl: 0 } })], 'WRITE_ONCE')
    refuses(chain, boss, [create({ parent: hold, collection: 'x' })], 'WRITE_ONCE')
    refuses(chain, boss, [create({ parent: part, collection: HOLDS })], 'RESERVED_NAME')
    refuses(chain, boss, [create({ parent: shelf, collection: HOLDS })], 'RESERVED_NAME')
  })

  it('may be kept themselves', () => {
    const { chain, boss, kept } = archive('governance', 0)
    const rare = { retain: chain.time + 100 }
    const hold = creates(chain, boss, create({ parent: kept, collection: HOLDS, rare }))
    refuses(chain, boss, [remove(hold)], 'RETAINED')
    chain.time += 100
    commits(chain, boss, remove(hold))
  })
})

describe('time under compliance', () => {
  const goes = (chain: Forger, boss: ForgedSession, { kept, part, crumb }: Archive): string =>
    codes(chain, boss, remove(crumb), remove(part), remove(kept))

  it('is over when a quorum of the witnesses has signed so', () => {
    const found = archive('compliance', 10_000, witnesses())
    const { chain, boss } = found
    const until = chain.time + 10_000
    chain.time += 3_153_600_000_000
    const late = chain.session(root)
    expect(goes(chain, late, found)).toBe('TIME_UNPROVEN')
    witnessed(chain, { w1: until, w2: until })
    expect(goes(chain, late, found)).toBe('TIME_UNPROVEN')
    // One that was there before, one that is a second too early, one that nobody has named, one that lies about its key.
    witnessed(chain, { w2: until + 5000, w3: until - 1000, x1: until })
    witnessed(chain, { w4: until }, 'forged')
    expect(goes(chain, late, found)).toBe('TIME_UNPROVEN')
    witnessed(chain, { w4: until })
    // What a witness has signed once stays signed.
    witnessed(chain, { w1: until - 9000, w2: until - 9000, w4: until - 9000 })
    expect(goes(chain, late, found)).toBe('committed')
    expect(boss).toBeDefined()
  })

  it('is that of chain time too', () => {
    const found = archive('compliance', 10_000, witnesses())
    const { chain, boss } = found
    const far = chain.time + 1e12
    witnessed(chain, { w1: far, w2: far, w3: far, w4: far })
    expect(goes(chain, boss, found)).toBe('RETAINED')
  })

  it('does not take witnesses that are named later, nor any without', () => {
    for (const set of [witnesses(), undefined]) {
      const found = archive('compliance', 10_000, set)
      const { chain, shelf, kept } = found
      const until = chain.time + 10_000
      const own = witnesses(['x1', 'x2', 'x3'], 1)
      chain.time += 20_000
      const boss = chain.session(root)
      commits(chain, boss, change(OP.retain, shelf, { rare: { witnesses: own } }))
      commits(chain, boss, change(OP.retain, kept, { rare: { witnesses: own, lock: 'compliance' } }))
      witnessed(chain, { x1: until, x2: until, x3: until })
      refuses(chain, boss, [remove(found.crumb)], 'TIME_UNPROVEN', { until })
    }
  })

  it('counts from when they were named, and for what was governance by those it was locked under', () => {
    const found = archive('governance', 10_000, witnesses(['w1'], 1))
    const { chain, boss, shelf, kept } = found
    commits(chain, boss, change(OP.retain, shelf, { rare: { witnesses: witnesses(['x1'], 1) } }))
    commits(chain, boss, change(OP.retain, kept, { rare: { lock: 'compliance' } }))
    const until = chain.time + 9_000
    witnessed(chain, { x1: until + 9000, w2: until + 9000 })
    chain.time = until + 2000
    refuses(chain, boss, [remove(found.crumb)], 'TIME_UNPROVEN', { proven: 0 })
    witnessed(chain, { w1: until + 1000 })
    expect(goes(chain, boss, found)).toBe('committed')
  })

  it('is that of witnesses that were named before compliance, where it was locked without any', () => {
    const found = archive('governance', 10_000)
    const { chain, boss, shelf, kept } = found
    commits(chain, boss, change(OP.retain, shelf, { rare: { witnesses: witnesses(['x1'], 1) } }))
    commits(chain, boss, change(OP.retain, kept, { rare: { lock: 'compliance' } }))
    chain.time += 10_000
    refuses(chain, boss, [remove(found.crumb)], 'TIME_UNPROVEN')
    witnessed(chain, { x1: chain.time + 1000 })
    expect(goes(chain, boss, found)).toBe('committed')
  })

  it('is kept by a snapshot, and by who reads the log again', async () => {
    const found = archive('compliance', 10_000, witnesses())
    const { chain } = found
    witnessed(chain, { w1: 5_000, w2: 7_000, w3: 9_000 })
    const copy = await resumed(await snapshotOf(chain.replica), chain.records[0]!)
    expect(stateText(copy)).toBe(stateText(chain.replica))
    expect(copy.view.witnesses.provenAt(0)).toBe(5_000)
  })
})

it('a refused transaction leaves no witness behind', () => {
  const { chain, boss, shelf, kept } = archive('compliance', 1000)
  refuses(chain, boss, [change(OP.retain, shelf, { rare: { witnesses: witnesses() } }), remove(kept)], 'RETAINED')
  expect(chain.replica.view.witnesses.witnesses()).toEqual([])
})
