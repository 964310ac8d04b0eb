/** A chain whose server does not answer, opened from the copy that is kept: read, written, and brought together later. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Chain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import type { OpenOptions } from '../../src/data/open-chain.ts'
// Loaded before simulated time runs: what is loaded on demand takes real time.
import '../../src/data/file-place.ts'
import '../../src/log/file-destroy.ts'
import '../../src/log/file-engine.ts'
import { type MemoryStore, memoryStore } from '../../src/log/memory.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { markKept, newIdentity } from '../../src/session/identity.ts'
import type { Platform } from '../../src/session/platform.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { recordsOf, slabsOf } from '../log/stored-records.ts'
import { SimWorld, simCrypto, simPerson } from './sim-world.ts'

const Note = defineType<{ text: string }>('note')
const me = markKept(newIdentity({ crypto: simCrypto, random: seededRandom(5) }))
const local = { wait: 'local' } as const

let world: SimWorld
/** One machine, with its disk and its state. */
let here: Platform
let seen: string[]
beforeEach(async () => {
  world = new SimWorld(1)
  await world.startServer()
  const disks = new Map<string, SimFileSystem>()
  here = Object.create(world.machine('a'), {
    pathOf: { value: (place: string) => place.slice('file:'.length) },
    openFolder: {
      async value(path: string) {
        const disk = disks.get(path) ?? new SimFileSystem(3, { folder: 'missing' })
        disks.set(path, disk)
        return disk
      },
    },
  }) as Platform
  seen = []
})

/** As another process of this machine would. */
function open(more: Partial<OpenOptions> = {}, at: Platform = Object.create(here)): Promise<Chain> {
  const options: OpenOptions = {
    as: me,
    serverKey: simPerson('server'),
    replica: 'file:copy',
    observe: (one) => {
      if (one.kind === 'connection') seen.push(`${one.state}${one.code ? ` ${one.code}` : ''}`)
    },
    ...more,
  }
  return world.wait(openChain(`${world.url}/notes`, options, at))
}

async function texts(chain: Chain): Promise<string[]> {
  const found: string[] = []
  const all = async (): Promise<void> => {
    for await (const { value } of chain.children(Note)) found.push(value.text)
  }
  await world.wait(all())
  return found.sort()
}

function write(chain: Chain, text: string, options: { readonly wait?: 'local' } = {}): Promise<unknown> {
  return world.wait(chain.transact((tx) => void tx.create(Note, { text }), options))
}

async function close(chain: Chain): Promise<void> {
  await world.wait(chain.close())
}

/** The chain with two notes, and a copy of it; then the server is gone. */
async function begun(): Promise<void> {
  const chain = await open({ create: true })
  await write(chain, 'one')
  await write(chain, 'two')
  await close(chain)
  world.killServer()
}

/** Names and content of what waits on this machine. */
async function outbox(): Promise<[string, Uint8Array][]> {
  const names = await here.state.list('outbox/')
  return Promise.all(names.map(async (name) => [name, (await here.state.get(name))!.slice()] as [string, Uint8Array]))
}

const there = (): MemoryStore => world.stores.get('notes')!

function copyOf(store: MemoryStore): MemoryStore {
  return Object.assign(memoryStore(), { records: slabsOf(recordsOf(store)), label: store.label })
}

describe('a server that does not answer', () => {
  test('is no obstacle where that is allowed: the copy is read, and is brought up to date when it comes back', async () => {
    await begun()
    expect(await codeOf(() => open())).toBe('SERVER_UNREACHABLE')
    seen = []
    const chain = await open({ offline: 'allow' })
    expect(await texts(chain)).toEqual(['one', 'two'])
    expect(seen).toEqual(['offline SERVER_UNREACHABLE'])
    expect(await codeOf(() => world.wait(chain.refresh()))).toBe('OFFLINE')
    // What is written waits: it is kept, and who waits for the server goes on waiting.
    await write(chain, 'kept', local)
    let isThere = false
    const waiting = chain
      .transact((tx) => void tx.create(Note, { text: 'waited for' }))
      .then(() => {
        isThere = true
      })
    await world.time.run(90_000)
    expect([isThere, await texts(chain)]).toEqual([false, ['one', 'two']])

    await world.startServer()
    const other = await open({ replica: 'memory:' }, world.machine('b'))
    await write(other, 'of another')
    await world.wait(waiting)
    expect(seen.at(-1)).toBe('online')
    await world.wait(chain.refresh())
    await world.wait(other.refresh())
    const all = ['kept', 'of another', 'one', 'two', 'waited for']
    expect([await texts(chain), await texts(other)]).toEqual([all, all])
    await close(chain)
    await close(other)
    expect(await here.state.list('outbox/')).toEqual([])
  })

  test('what was written without it outlives the process, and is sent once by whoever opens the chain there next', async () => {
    await begun()
    const first = await open({ offline: 'allow' })
    await write(first, 'kept', local)
    await close(first)
    // Still away: what waits is left as it is.
    const second = await open({ offline: 'allow' })
    expect(await texts(second)).toEqual(['one', 'two'])
    await close(second)
    await world.startServer()
    const third = await open({ offline: 'allow' })
    await write(third, 'later')
    expect(await texts(third)).toEqual(['kept', 'later', 'one', 'two'])
    await close(third)
    expect(await here.state.list('outbox/')).toEqual([])
  })

  test('a conflict with what others wrote meanwhile is told', async () => {
    const chain = await open({ create: true })
    const note = await world.wait(chain.transact((tx) => tx.create(Note, { text: 'mine' })))
    await close(chain)
    world.killServer()
    const away = await open({ offline: 'allow' })
    await world.wait(away.transact((tx) => tx.update(note, () => ({ text: 'offline' })), local))
    await close(away)
    await world.startServer()
    const other = await open({ replica: 'memory:' }, world.machine('b'))
    await world.wait(other.transact((tx) => tx.update(note, () => ({ text: 'theirs' }))))
    await close(other)
    const back = await open({ offline: 'allow' })
    const conflicts = back.conflicts()[Symbol.asyncIterator]()
    expect(await world.wait(conflicts.next())).toMatchObject({ value: { code: 'CONFLICT' } })
    expect(await texts(back)).toEqual(['theirs'])
    await close(back)
  })

  test('an empty copy, none that is kept, and one that is damaged are not enough', async () => {
    await begun()
    expect(await codeOf(() => open({ offline: 'allow', replica: 'memory:' }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => open({ offline: 'allow', replica: 'file:other' }))).toBe('SERVER_UNREACHABLE')
    expect(await codeOf(() => open({ offline: 'maybe' as never }))).toBe('BAD_ARGUMENT')
    const disk = (await here.openFolder('copy')) as SimFileSystem
    disk.pokeByte('seg-000000.ate', 4096 + 200, 1)
    expect(await codeOf(() => open({ offline: 'allow' }))).toBe('DAMAGED')
  })

  test('a server that is another one is an error, not an absence', async () => {
    await begun()
    await world.startServer()
    const stranger = { serverKey: simPerson('somebody'), offline: 'allow' } as const
    expect(await codeOf(() => open(stranger))).toBe('SERVER_CHANGED')
    await close(await open({ offline: 'allow' }))
  })
})

describe('a copy that is older than what this machine has seen', () => {
  /** Another process of this machine, with a copy in memory, has seen and written more. */
  async function behind(): Promise<{ readonly older: MemoryStore }> {
    const chain = await open({ create: true })
    await write(chain, 'one')
    await close(chain)
    const older = copyOf(there())
    const more = await open({ replica: 'memory:' })
    await write(more, 'two')
    await write(more, 'three')
    await close(more)
    // It is kept open for a minute.
    await world.time.run(120_000)
    world.killServer()
    return { older }
  }

  test('is opened, and what is written gets no number that was used before', async () => {
    await behind()
    const chain = await open({ offline: 'allow' })
    expect(await texts(chain)).toEqual(['one'])
    await write(chain, 'kept', local)
    await world.startServer()
    await write(chain, 'last')
    expect(await texts(chain)).toEqual(['kept', 'last', 'one', 'three', 'two'])
    await close(chain)
  })

  test('also where the outbox still has what the copy shows: it was killed before that was taken out', async () => {
    await begun()
    const away = await open({ offline: 'allow' })
    await write(away, 'kept', local)
    await close(away)
    const left = await outbox()
    await world.startServer()
    const back = await open()
    await world.wait(back.refresh())
    expect(await texts(back)).toEqual(['kept', 'one', 'two'])
    await close(back)
    const more = await open({ replica: 'memory:' })
    await write(more, 'three')
    await close(more)
    world.killServer()
    for (const [name, bytes] of left) await here.state.put(name, bytes)

    const chain = await open({ offline: 'allow' })
    await write(chain, 'four', local)
    await world.startServer()
    await write(chain, 'last')
    expect(await texts(chain)).toEqual(['four', 'kept', 'last', 'one', 'three', 'two'])
    await close(chain)
    expect(await outbox()).toEqual([])
  })

  test('is not opened where it cannot tell what became of the outbox, and nothing of that is lost', async () => {
    await close(await open({ create: true }))
    // Of a certificate that the copy does not have.
    const more = await open({ replica: 'memory:' })
    await write(more, 'one')
    world.killServer()
    await write(more, 'kept', local)
    await close(more)
    const left = await outbox()
    expect(left).toHaveLength(1)
    for (let i = 0; i < 2; i++) expect(await codeOf(() => open({ offline: 'allow' }))).toBe('SERVER_UNREACHABLE')
    expect(await outbox()).toEqual(left)
    // Who only reads sends nothing.
    const reader = await open({ offline: 'allow', readOnly: true })
    expect(await texts(reader)).toEqual([])
    await close(reader)

    await world.startServer()
    const chain = await open({ offline: 'allow' })
    await write(chain, 'last')
    expect(await texts(chain)).toEqual(['kept', 'last', 'one'])
    await close(chain)
    expect(await outbox()).toEqual([])
  })

  test('and a server that has gone back behind that is an alarm when it answers', async () => {
    const { older } = await behind()
    const chain = await open({ offline: 'allow' })
    world.stores.set('notes', older)
    await world.startServer()
    expect(await world.time.runUntil(() => seen.at(-1)?.startsWith('ended') ?? false, 300_000)).toBe(true)
    expect(seen.at(-1)).toBe('ended ROLLBACK')
    expect(await codeOf(() => write(chain, 'no'))).toBe('ROLLBACK')
    await close(chain)
  })

  test('is taken where that is asked for; what waited behind what is lost is told as a conflict', async () => {
    const { older } = await behind()
    const chain = await open({ offline: 'allow' })
    await write(chain, 'kept', local)
    world.stores.set('notes', older)
    await world.startServer()
    expect(await world.time.runUntil(() => seen.at(-1)?.startsWith('ended') ?? false, 300_000)).toBe(true)
    await close(chain)
    expect(await codeOf(() => open({}))).toBe('ROLLBACK')
    const again = await open({ rollback: 'accept' })
    const firstConflict = async (): Promise<string | undefined> => {
      for await (const { code } of again.conflicts()) return code
      return undefined
    }
    expect(await world.wait(firstConflict())).toBe('CERT_ENDED')
    await write(again, 'last')
    expect(await texts(again)).toEqual(['last', 'one'])
    await close(again)
    expect(await outbox()).toEqual([])
  })

  test('is not taken over a copy that has more: what the server has lost stays there', async () => {
    const chain = await open({ create: true })
    await write(chain, 'one')
    const older = copyOf(there())
    await write(chain, 'two')
    await close(chain)
    world.killServer()
    world.stores.set('notes', older)
    await world.startServer()
    await expect(open({ rollback: 'accept' })).rejects.toThrow(/^ROLLBACK: the copy at file:copy/)
    const again = await open({ rollback: 'accept', replica: 'file:other' })
    expect(await texts(again)).toEqual(['one'])
    await close(again)
    // It is there, and now it is the other history.
    world.killServer()
    expect(await codeOf(() => open({ offline: 'allow' }))).toBe('FORK')
  })

  test('and so is one that shows other records in the place of those', async () => {
    const { older } = await behind()
    const chain = await open({ offline: 'allow' })
    world.stores.set('notes', older)
    // Another past, of somebody who has not seen the first one.
    await world.startServer()
    world.network.partition('a', 'server')
    const other = await open({ replica: 'memory:', as: me }, world.machine('b'))
    for (const text of ['x', 'y', 'z']) await write(other, text)
    await close(other)
    world.network.heal('a', 'server')
    await expect(write(chain, 'sent')).rejects.toMatchObject({ code: 'INDETERMINATE', facts: { code: 'FORK' } })
    expect(await codeOf(() => write(chain, 'no'))).toBe('FORK')
    expect(await texts(chain)).not.toContain('z')
    await close(chain)
  })
})
