/** A server with another past than the one that it told: forks, restored backups, a chain that begins in another year. */
import { describe, expect, test } from 'vitest'
import { recordsOf, slabsOf } from '../log/stored-records.ts'
import { onMessage } from './evil-attacks.ts'
import type { Tamper } from './evil-kit.ts'
import { EvilWorld } from './evil-world.ts'

const YEAR_2126 = 4_922_640_000_000

describe('a server that tells two clients two histories', () => {
  test('cannot bring them together again: whoever has seen one of them is shown the other as a fork', async () => {
    const evil = await EvilWorld.start(1)
    const sim = evil.world
    const a = await sim.wait(evil.open('garden', { create: true }))
    await sim.wait(evil.write(a, 'common'))
    const { id } = a
    const b = await sim.wait(evil.open('garden', { id }))
    // The other history: the same server, on a copy of its stores.
    const here = sim.stores.get('garden')!
    const records = recordsOf(here)
    await sim.wait(evil.write(a, 'for a'))
    await sim.wait(a.close())
    await sim.time.run(70_000)
    await sim.wait(b.close())
    await sim.time.run(70_000)
    const ofA = recordsOf(here)
    const platform = evil.machine()
    // B's machine has seen what is common; it writes on.
    here.records = slabsOf(records)
    sim.killServer()
    await evil.restart()
    const c = await sim.wait(evil.open('garden', { id }, platform))
    await sim.wait(evil.write(c, 'for c'))
    await sim.wait(evil.write(c, 'for c too'))
    expect(await sim.wait(evil.texts(c))).toEqual(['common', 'for c', 'for c too'])
    await sim.wait(c.close())
    await sim.time.run(70_000)
    // And then C is shown what A has.
    sim.killServer()
    here.records = slabsOf(ofA)
    await evil.restart()
    const shown = await evil.result(evil.open('garden', { id }, platform))
    expect(['FORK', 'ROLLBACK']).toContain(shown)
  })

  test('is seen while the chain is open: the connection comes back, and its server has another record', async () => {
    const evil = await EvilWorld.start(2)
    const sim = evil.world
    const a = await sim.wait(evil.open('garden', { create: true }))
    await sim.wait(evil.write(a, 'one'))
    const store = sim.stores.get('garden')!
    const before = recordsOf(store)
    await sim.wait(evil.write(a, 'two'))
    // Another client, while A cannot see it, goes on from the older state.
    sim.killServer()
    store.records = slabsOf(before)
    await evil.restart()
    const other = await sim.wait(evil.open('garden', { id: a.id }))
    for (const mark of ['three', 'four', 'five']) await sim.wait(evil.write(other, mark))
    await sim.time.run(120_000)
    const told = await evil.result(a.refresh())
    expect(['FORK', 'ROLLBACK']).toContain(told)
    expect(await evil.write(a, 'six')).toMatch(/FORK|ROLLBACK/)
    // What A had verified, it still shows.
    expect(await sim.wait(evil.texts(a))).toEqual(['one', 'two'])
    await evil.result(a.close())
    await sim.wait(other.close())
  })
})

describe('a backup that was restored', () => {
  test('is a rollback for who has the chain open, and for who remembers it', async () => {
    const evil = await EvilWorld.start(3)
    const sim = evil.world
    const here = evil.machine()
    const a = await sim.wait(evil.open('garden', { create: true }, here))
    const store = sim.stores.get('garden')!
    await sim.wait(evil.write(a, 'one'))
    const backup = recordsOf(store)
    await sim.wait(evil.write(a, 'two'))
    const open = await sim.wait(evil.open('garden', { id: a.id }))
    await sim.wait(a.close())
    sim.killServer()
    store.records = slabsOf(backup)
    await evil.restart()
    await sim.time.run(150_000)
    expect(await evil.result(open.refresh())).toBe('ROLLBACK')
    expect(await evil.result(evil.open('garden', {}, here))).toBe('ROLLBACK')
    await evil.result(open.close())
  })
})

describe('a chain that begins at a server', () => {
  /** The time of the first record is signed by nobody: who makes a chain knows what he has sent. */
  function dated(): Tamper {
    return {
      toServer(message) {
        if (message.type !== 'open' || !message.genesis) return [message]
        const genesis = message.genesis.slice()
        new DataView(genesis.buffer).setBigUint64(40, BigInt(YEAR_2126))
        return [{ ...message, genesis }]
      },
    }
  }

  test('begins as it was made, not in the year 2126', async () => {
    const evil = await EvilWorld.start(4)
    evil.evil.tamper = dated()
    expect(await evil.result(evil.open('garden', { create: true }))).toBe('BAD_GENESIS')
  })

  test('is refused where the server gives another chain in its place', async () => {
    const evil = await EvilWorld.start(5)
    const sim = evil.world
    const other = await sim.wait(evil.open('other', { create: true }))
    await sim.wait(other.close())
    const here = evil.machine()
    const garden = await sim.wait(evil.open('garden', { create: true }, here))
    await sim.wait(garden.close())
    await sim.time.run(70_000)
    evil.evil.tamper = {
      toServer: (message) => (message.type === 'open' ? [{ ...message, name: 'other' }] : [message]),
    }
    expect(await evil.result(evil.open('garden', {}, here))).toBe('WRONG_CHAIN')
    expect(await evil.result(evil.open('garden', { id: garden.id }))).toBe('WRONG_CHAIN')
  })

  test('is not made twice by an opening that the server repeats', async () => {
    const evil = await EvilWorld.start(6)
    evil.evil.tamper = onMessage('opened', (message) => [message, message, message])
    const a = await evil.world.wait(evil.open('garden', { create: true }))
    expect(await evil.world.wait(evil.write(a, 'one'))).toBe('ok')
    await evil.world.wait(a.close())
    await evil.settle('garden', a.id)
  })
})
