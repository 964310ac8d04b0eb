/** Keys beside the log: there whenever their entity is, destroyed behind the record that deletes it, and kept by nobody else. */
import { describe, expect, it } from 'vitest'
import type { Observation } from '../../src/chain/observation.ts'
import type { Chain } from '../../src/data/chain.ts'
import { role } from '../../src/data/policy-input.ts'
import type { AppendOptions, LogRecord } from '../../src/log/engine.ts'
import type { FileSystem, OpenFile } from '../../src/log/file-system.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import type { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { codeOf, memoryChain, Note, open, person, quickPlatform, reopen, turns } from './kit.ts'

const key = (first: number): Uint8Array => new Uint8Array([first, 2, 3])

function makeKeyed(chain: Chain, text: string): Promise<string> {
  return chain.transact((tx) => {
    const made = tx.create(Note, { text })
    tx.attachKey(made, key(1))
    return made.id
  })
}

interface HeldRing {
  readonly chain: Chain
  readonly platform: TestPlatform
  readonly disk: SimFileSystem
  /** What was done since the chain was ready, in its order. */
  readonly steps: string[]
  /** From here on syncs of keys wait; the result lets them go on. */
  hold(): () => void
}

/** A chain on a simulated disk, whose ring has a file of slots already. */
async function heldRing(): Promise<HeldRing> {
  const steps: string[] = []
  let gate: Promise<void> | undefined
  const watched = (file: OpenFile, path: string): OpenFile => {
    const part = path.startsWith('ring/') ? 'keys' : path.startsWith('seg-') ? 'log' : undefined
    if (!part) return file
    return {
      ...file,
      write: (parts, at) => {
        steps.push(`${part} written`)
        return file.write(parts, at)
      },
      sync: async () => {
        if (part === 'keys') await gate
        await file.sync()
        steps.push(`${part} synced`)
      },
      syncNow: () => {
        file.syncNow()
        steps.push(`${part} synced`)
      },
    }
  }
  const wrapDisk = (fs: FileSystem): FileSystem =>
    new Proxy(fs, {
      get(target, name) {
        if (name === 'open')
          return (path: string, mode: 'read' | 'write' | 'create') => watched(target.open(path, mode), path)
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  const platform = quickPlatform(1, { wrapDisk })
  const observe = ({ kind }: Observation): void => void (kind === 'seal' && steps.push('commit sealed'))
  const chain = await open('file:/c', { as: person('alice'), observe }, platform)
  await makeKeyed(chain, 'the first')
  steps.length = 0
  const hold = (): (() => void) => {
    let free = (): void => {}
    gate = new Promise((resolve) => {
      free = resolve
    })
    return free
  }
  return { chain, platform, disk: platform.disk('/c'), steps, hold }
}

/** A process of its own on what is left there. */
async function notesOf({ platform }: HeldRing): Promise<string[]> {
  const chain = await open('file:/c', { as: person('alice') }, platform)
  const texts: string[] = []
  for await (const { value } of chain.children(Note)) texts.push(value.text)
  expect((await chain.verify()).problems).toEqual([])
  await chain.close()
  return texts
}

describe('attached keys', () => {
  it('are there when the transaction is acknowledged, and gone when it failed', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const given = key(1)
    const note = await chain.transact((tx) => {
      const made = tx.create(Note, { text: 'a' })
      tx.attachKey(made, given)
      given.fill(0)
      return made
    })
    expect(await chain.attachedKey(note)).toEqual(key(1))
    let failed = ''
    await chain
      .transact((tx) => {
        const made = tx.create(Note, { text: 'b' })
        tx.attachKey(made, key(2))
        failed = made.id
        throw new Error('no')
      })
      .catch(() => undefined)
    expect(await chain.attachedKey(failed)).toBeUndefined()
    expect(chain.has(note)).toBe(true)
    expect(chain.has(failed)).toBe(false)
  })

  it('leave nothing behind of a run that conflicted', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const counter = await chain.transact((tx) => tx.create(Note, { text: '0' }))
    const made: string[] = []
    const run = (): Promise<string> =>
      chain.transact(async (tx) => {
        await tx.load(Note, counter)
        await Promise.resolve()
        const note = tx.create(Note, { text: 'x' })
        tx.attachKey(note, key(3))
        await tx.update(Note, counter, ({ text }) => ({ text: `${text}+` }))
        made.push(note.id)
        return note.id
      })
    const kept = await Promise.all([run(), run(), run()])
    expect(made.length).toBeGreaterThan(3)
    for (const id of made) expect((await chain.attachedKey(id)) !== undefined).toBe(kept.includes(id))
  })

  it('are destroyed by shred, when its transaction commits, and not by one that is refused', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const [note, kept] = await chain.transact((tx) => {
      const both = [tx.create(Note, { text: 'a' }), tx.create(Note, { text: 'b' }, { retain: 4e12 })] as const
      for (const one of both) tx.attachKey(one, key(1))
      return both
    })
    await chain
      .transact((tx) => {
        tx.shred(note)
        throw new Error('no')
      })
      .catch(() => undefined)
    expect(await chain.attachedKey(note)).toBeDefined()
    expect(await codeOf(chain.transact((tx) => tx.shred(kept)))).toBe('RETAINED')
    expect(await chain.attachedKey(kept)).toBeDefined()
    await chain.transact((tx) => tx.shred(note), { durability: 'memory' })
    expect(await chain.attachedKey(note)).toBeUndefined()
    expect(chain.has(note)).toBe(false)
  })

  it('are destroyed at once by a plain deletion and by a sweep, also of those that were there at the opening', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => {
      const ttls = [undefined, undefined, '10s', undefined] as const
      return ttls.map((ttl, i) => {
        const note = tx.create(Note, { text: `${i}` }, ttl === undefined ? {} : { ttl })
        tx.attachKey(note, key(i))
        return note.id
      })
    })
    const keysOf = (chain: typeof kit.chain): Promise<boolean[]> =>
      Promise.all(made.map(async (id) => (await chain.attachedKey(id)) !== undefined))
    await kit.chain.transact((tx) => tx.delete(made[0]!), { durability: 'memory' })
    expect(await keysOf(kit.chain)).toEqual([false, true, true, true])
    const { chain } = await reopen(kit)
    await chain.transact((tx) => tx.delete(made[1]!))
    expect(await keysOf(chain)).toEqual([false, false, true, true])
    kit.platform.advance(10_000)
    await chain.transact((tx) => tx.create(Note, { text: 'later' }))
    expect(await chain.sweep()).toBe(1)
    expect(await keysOf(chain)).toEqual([false, false, false, true])
    await chain.close()
  })

  it('are destroyed behind a deletion that is as durable as the engine can make it, whatever was asked for', async () => {
    const engine = memoryEngine(memoryStore())
    const log: string[] = []
    const { ring } = engine
    const watched = new Proxy(engine, {
      get(target, name) {
        // As a disk would: the level that it was asked for is what it reaches.
        if (name === 'durability') return 'disk'
        if (name === 'append')
          return async (batch: readonly LogRecord[], options: AppendOptions) => {
            await target.append(batch, { ...options, durability: 'memory' })
            log.push(options.durability)
            return { durability: options.durability }
          }
        if (name === 'ring')
          return { ...ring, erase: (key: Uint8Array) => ring.erase(key).then(() => log.push('erased')) }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const chain = await open(watched, { as: person('alice') })
    const note = await chain.transact((tx) => {
      const made = tx.create(Note, { text: 'a' })
      tx.attachKey(made, key(1))
      return made
    })
    log.length = 0
    await chain.transact((tx) => tx.create(Note, { text: 'b' }), { durability: 'memory' })
    await chain.transact((tx) => tx.shred(note), { durability: 'memory' })
    expect(log).toEqual(['memory', 'disk', 'erased'])
    await chain.close()
  })

  it('belong to what the transaction creates, and to nothing else', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const note = await chain.transact((tx) => tx.create(Note, { text: 'a' }))
    expect(await codeOf(chain.transact((tx) => tx.attachKey(note, key(1))))).toBe('BAD_ARGUMENT')
    expect(await codeOf(chain.transact((tx) => tx.attachKey(`${'0'.repeat(25)}4`, key(1))))).toBe('BAD_ARGUMENT')
    for (const bad of [new Uint8Array(256 * 1024 + 1), 'text', undefined])
      expect(
        await codeOf(chain.transact((tx) => tx.attachKey(tx.create(Note, { text: 'b' }), bad as Uint8Array))),
      ).toBe('BAD_ARGUMENT')
    expect(chain.attachedKeys).toBe('open')
  })
})

describe('on a disk', () => {
  it('are being synced while their commit is sealed, and no record is written before they are there', async () => {
    const held = await heldRing()
    const { chain, steps } = held
    const free = held.hold()
    const making = makeKeyed(chain, 'a')
    await turns()
    expect(steps).toEqual(['keys written', 'commit sealed'])
    const behind = chain.transact((tx) => tx.create(Note, { text: 'behind' }))
    await turns()
    expect([steps.length, chain.head.seq]).toEqual([2, 1])
    free()
    await Promise.all([making, behind])
    expect(steps.slice(2, 5)).toEqual(['keys synced', 'log written', 'log synced'])
    expect(await chain.attachedKey(await making)).toEqual(key(1))
    await chain.close()
    expect(await notesOf(held)).toEqual(['the first', 'a', 'behind'])
  })

  it('that are lost end the writing: the record that needs them was sealed, and never stands in the log', async () => {
    const held = await heldRing()
    const { chain, disk, steps } = held
    const free = held.hold()
    const making = codeOf(makeKeyed(chain, 'a'))
    await turns()
    expect(steps).toEqual(['keys written', 'commit sealed'])
    const behind = codeOf(chain.transact((tx) => tx.create(Note, { text: 'behind' })))
    disk.faults.failSync = disk.counts.syncs + 1
    free()
    expect(await Promise.all([making, behind])).toEqual(['WRITER_POISONED', 'WRITER_POISONED'])
    expect([steps.length, chain.head.seq]).toEqual([2, 1])
    disk.faults = {}
    await chain.close().catch(() => undefined)
    expect(await notesOf(held)).toEqual(['the first'])
  })

  it('for which there is no room fail their transaction, and what is staged on it; the next one is written', async () => {
    const held = await heldRing()
    const { chain, disk, steps } = held
    disk.faults.failWrite = { at: disk.counts.writes + 1, code: 'ENOSPC', written: 0 }
    const making = codeOf(makeKeyed(chain, 'a'))
    const behind = codeOf(chain.transact((tx) => tx.create(Note, { text: 'behind' })))
    expect(await Promise.all([making, behind])).toEqual(['DISK_FULL', 'DISK_FULL'])
    expect(steps).not.toContain('log written')
    await makeKeyed(chain, 'b')
    await chain.close()
    expect(await notesOf(held)).toEqual(['the first', 'b'])
  })
})

describe('access', () => {
  it('is what the policies say', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const [node, below] = await chain.transact((tx) => {
      tx.role('crew').add(person('bob').publicId)
      const made = tx.create(
        Note,
        { text: 'a' },
        { read: [role('crew')], write: [person('alice'), person('carol')], manage: [role('crew')] },
      )
      return [made, tx.create(Note, { text: 'b' }, { parent: made })] as const
    })
    const root = { fingerprint: chain.identity }
    const access = chain.access(below)
    const [entry] = access.read as readonly { readonly at?: string }[]
    const crew = { role: 'crew', at: entry?.at }
    expect(access).toEqual({
      read: [crew],
      write: ['alice', 'carol'].map((name) => ({ fingerprint: person(name).fingerprint })),
      manage: [crew, root],
    })
    expect(chain.access(node)).toEqual(access)
    const info = chain.role('crew')!
    expect(info.isMember).toBe(true)
    expect(info.members.map(({ publicId }) => publicId)).toContain(person('bob').publicId)
    expect(chain.role('none')).toBeUndefined()
    expect(chain.fingerprintOf(person('bob').publicId)).toBe(person('bob').fingerprint)
    expect(await codeOf((async () => chain.access(`${'0'.repeat(25)}4`))())).toBe('NOT_FOUND')
    await using bob = await reopen(kit, { as: person('bob') })
    expect(bob.chain.publicId).toBe(person('bob').publicId)
  })

  it('of a node that is made here may name roles of its own', async () => {
    await using kit = await memoryChain()
    const node = await kit.chain.transact((tx) => {
      const made = tx.create(Note, { text: 'a' })
      tx.role('own', made).add(person('bob').publicId)
      tx.setPolicy(made, { write: [role('own')] })
      return made
    })
    const read = kit.chain.transact((tx) => tx.setPolicy(tx.create(Note, { text: 'b' }), { read: 'everyone' }))
    expect(await codeOf(read)).toBe('BAD_ARGUMENT')
    await using bob = await reopen(kit, { as: person('bob') })
    expect(bob.chain.access(node).write).toEqual([{ role: 'own', at: node.id }])
  })

  it('one transaction may give a node new readers, and what is below it writers who do not read', async () => {
    await using kit = await memoryChain()
    const [node, below] = await kit.chain.transact((tx) => {
      const made = tx.create(Note, { text: 'a' }, { read: [person('alice')], write: [person('alice')] })
      return [made, tx.create(Note, { text: 'b' }, { parent: made, write: [person('alice')] })] as const
    })
    for (const order of ['readers first', 'writers first']) {
      await kit.chain.transact((tx) => {
        const readers = (): void =>
          tx.setPolicy(node, { read: [person('alice'), person(order)], write: [person('alice')] })
        if (order === 'readers first') readers()
        tx.setPolicy(below, { write: [person('alice'), person('bob')] })
        if (order !== 'readers first') readers()
      })
    }
    await using bob = await reopen(kit, { as: person('bob') })
    const made = await bob.chain.transact((tx) => tx.create(Note, { text: 'from bob' }, { parent: below.id }))
    await using alice = await reopen(bob)
    expect((await alice.chain.load(Note, made.id)).value.text).toBe('from bob')
  })
})
