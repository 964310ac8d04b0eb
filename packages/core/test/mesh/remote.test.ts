import { getEventListeners } from 'node:events'
import { expect, test, vi } from 'vitest'
import { CHAIN_NAME_BYTES_MAX, CLOSE_SILENT_MS } from '../../src/base/limits.ts'
import type { Observation } from '../../src/chain/observation.ts'
import { Staging } from '../../src/chain/staging.ts'
import { defineType } from '../../src/data/entity-type.ts'
import type { Transaction } from '../../src/data/transaction.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { codeOf } from '../data/kit.ts'
import { machine, someone, startServer } from './net-kit.ts'
import { SimWorld, simPerson } from './sim-world.ts'

const Note = defineType<{ text: string }>('note')

test('two clients of one server', async () => {
  await using server = await startServer()
  const me = someone()
  const serverKey = server.identity
  const a = await openChain(`${server.url}/notes`, { as: me, create: true, serverKey }, machine())
  const note = await a.transact((tx) => tx.create(Note, { text: 'my test string' }))
  const b = await openChain(`${server.url}/notes`, { as: me, serverKey, id: a.id }, machine())
  expect((await b.load(Note, note.id)).value.text).toBe('my test string')
  const all = await Promise.all(
    Array.from({ length: 300 }, (_, i) => (i % 2 ? a : b).transact((tx) => tx.create(Note, { text: `n${i}` }))),
  )
  await a.refresh()
  await b.refresh()
  expect(a.head).toEqual(b.head)
  for (const one of all) expect((await b.load(Note, one.id)).value).toEqual((await a.load(Note, one.id)).value)
  await a.close()
  await b.close()
})

test('a name that is too long is refused before it is sent, and others on the connection stay', async () => {
  await using server = await startServer()
  const options = { as: someone(), serverKey: server.identity, create: true }
  const told: string[] = []
  const observe = (event: Observation): void => {
    if (event.kind === 'connection') told.push(event.state)
  }
  const own = machine()
  await using chain = await openChain(`${server.url}/notes`, { ...options, observe }, own)
  await using _other = await openChain(`${server.url}/${'n'.repeat(CHAIN_NAME_BYTES_MAX)}`, options, own)
  for (const name of ['n'.repeat(CHAIN_NAME_BYTES_MAX + 1), encodeURIComponent('\u00e9'.repeat(121))])
    expect(await codeOf(openChain(`${server.url}/${name}`, options, own))).toBe('BAD_CHAIN_NAME')
  await chain.transact((tx) => tx.create(Note, { text: '' }))
  expect(told).not.toContain('offline')
})

test('what has read what another client overtakes runs again, and both go on', async () => {
  await using server = await startServer()
  const options = { as: someone(), serverKey: server.identity }
  await using a = await openChain(`${server.url}/notes`, { ...options, create: true }, machine())
  const note = await a.transact((tx) => tx.create(Note, { text: '' }))
  await using b = await openChain(`${server.url}/notes`, options, machine())
  const add = (chain: typeof a, text: string): Promise<unknown> =>
    chain.transact((tx) => tx.update(Note, note.id, (value) => ({ text: value.text + text })))
  const read = (chain: typeof a): Promise<string> =>
    chain.transact(async (tx) => (await tx.load(Note, note.id)).value.text)
  for (let round = 1; round <= 10; round++) {
    const adds = [a, b].map((chain, i) => add(chain, 'ab'[i]!))
    const texts = await Promise.all([a, b].map(read))
    await Promise.all(adds)
    // Nobody is told what did not come to be.
    await Promise.all([a.refresh(), b.refresh()])
    const { text } = (await a.load(Note, note.id)).value
    expect(text.length).toBe(2 * round)
    for (const seen of texts) expect(text.startsWith(seen)).toBe(true)
    expect((await b.load(Note, note.id)).value.text).toBe(text)
  }
})

test('what has gone before one that it does not build on is taken back in the order in which it was staged', async () => {
  await using server = await startServer()
  const options = { as: someone(), serverKey: server.identity, create: true }
  await using chain = await openChain(`${server.url}/notes`, options, machine())
  const note = await chain.transact((tx) => tx.create(Note, { text: '' }))
  const writing: Promise<void>[] = []
  const add = (builds: boolean): Promise<void> =>
    new Promise((staged) => {
      const add = async (tx: Transaction): Promise<void> => {
        if (builds) await tx.update(Note, note.id, ({ text }) => ({ text: `${text}+` }))
        tx.create(Note, { text: 'made' })
      }
      writing.push(chain.transact(add, { staged }))
    })
  // The second waits for the first, and the third for nobody.
  for (const builds of [true, true, false]) await add(builds)
  await Promise.all(writing)
  expect((await chain.load(Note, note.id)).value.text).toBe('++')
  expect(chain.children(Note).count()).toBe(4)
})

test('a mistake of ours while records are taken in ends the chain with an error, and holds nobody', async () => {
  await using server = await startServer()
  const options = { as: someone(), serverKey: server.identity, create: true }
  await using a = await openChain(`${server.url}/notes`, options, machine())
  vi.spyOn(Staging.prototype, 'settle').mockImplementationOnce(() => {
    throw new TypeError('a mistake')
  })
  // Nobody can tell this one what became of it; the chain says at once that it has failed.
  a.transact((tx) => tx.create(Note, { text: 'lost' })).catch(() => undefined)
  for await (const _ of a.watch({ type: Note })) break
  expect(await codeOf(a.transact((tx) => tx.create(Note, { text: 'more' })))).toBe('INTERNAL')
})

test.each([
  ['for one silence, not for one more to attest', CLOSE_SILENT_MS],
  ['until he is in a hurry', 500],
])('a server that falls silent holds who closes %s', async (_, holdsMs) => {
  const world = new SimWorld(3, { deadMs: 10 * CLOSE_SILENT_MS })
  await world.startServer()
  const options = { as: simPerson('me'), create: true, serverKey: simPerson('server') }
  const machine = world.machine('a')
  const chain = await world.wait(openChain(`${world.url}/c`, options, machine))
  const write = (text: string) => chain.transact((tx) => tx.create(Note, { text }))
  const there = await world.wait(write('there'))
  // It is answered, and not attested yet.
  await world.time.run(500)
  world.network.partition('a', 'server')
  const open = codeOf(write('on its way'))
  const { clock } = world.time
  const before = clock.monotonic()
  const hurry = new AbortController()
  world.time.timers.start(holdsMs === CLOSE_SILENT_MS ? 2 * holdsMs : holdsMs, () => hurry.abort())
  await world.wait(chain.close({ signal: hurry.signal }))
  expect(await open).toBe('INDETERMINATE')
  const tookMs = clock.monotonic() - before
  expect([tookMs > 0.9 * holdsMs, tookMs < 1.5 * holdsMs]).toEqual([true, true])
  // What was acknowledged is there, and who comes again does not wait on the connection that was silent.
  world.network.heal('a', 'server')
  const again = await world.wait(openChain(`${world.url}/c`, options, machine))
  expect((await world.wait(again.load(Note, there.id))).value.text).toBe('there')
  await world.wait(again.close({ signal: AbortSignal.abort() }))
})

test('who writes without a pause attests each second, and not the first time only', async () => {
  const world = new SimWorld(3)
  await world.startServer()
  const options = { as: simPerson('me'), create: true, serverKey: simPerson('server') }
  const chain = await world.wait(openChain(`${world.url}/c`, options, world.machine('a')))
  let isOver = false
  const write = async (): Promise<void> => {
    while (!isOver) await chain.transact((tx) => tx.create(Note, { text: '' }))
  }
  const writing = Promise.all([write(), write(), write()])
  const attested: number[] = []
  for (let seconds = 0; seconds < 6; seconds++) {
    await world.time.run(1000)
    attested.push(chain.stats().attestedSeq)
  }
  isOver = true
  await world.wait(writing)
  await world.wait(chain.close())
  // The first second has none yet.
  for (let i = 2; i < attested.length; i++) expect(attested[i]).toBeGreaterThan(attested[i - 1]!)
})

test('a chain that was closed a moment ago is open again without being fetched, and has what came meanwhile', async () => {
  await using server = await startServer()
  const me = someone()
  const options = { as: me, serverKey: server.identity }
  const [here, there] = [machine(), machine()]
  const a = await openChain(`${server.url}/notes`, { ...options, create: true }, here)
  const note = await a.transact((tx) => tx.create(Note, { text: 'first' }))
  const b = await openChain(`${server.url}/notes`, options, there)
  await a.close()
  expect(server.connections.size).toBe(2)
  await b.transact(async (tx) => {
    await tx.update(await tx.load(Note, note.id), () => ({ text: 'second' }))
  })
  await using again = await openChain(`${server.url}/notes`, options, here)
  expect((await again.load(Note, note.id)).value.text).toBe('second')
  await again.transact(async (tx) => {
    await tx.update(await tx.load(Note, note.id), () => ({ text: 'third' }))
  })
  await b.refresh()
  expect((await b.load(Note, note.id)).value.text).toBe('third')
  await b.close()
})

test('what another client deletes while a transaction is on its way is a conflict: its function runs again', async () => {
  await using server = await startServer()
  const me = someone()
  const serverKey = server.identity
  await using a = await openChain(`${server.url}/notes`, { as: me, create: true, serverKey }, machine())
  await using b = await openChain(`${server.url}/notes`, { as: me, serverKey, id: a.id }, machine())
  for (let round = 0; round < 12; round++) {
    await a.transact((tx) => tx.put(Note, 'k', { text: 'there' }))
    await b.refresh()
    await Promise.all([
      b.transact(async (tx) => tx.delete((await tx.named(Note, 'k'))!)),
      a.transact((tx) => tx.put(Note, 'k', { text: `${round}` })),
    ])
    await Promise.all([a.refresh(), b.refresh()])
    // Either order is one: what was put stands, or it was deleted behind it.
    const texts = await Promise.all([a, b].map(async (chain) => (await chain.named(Note, 'k'))?.value.text))
    expect(texts[0]).toBe(texts[1])
    expect([`${round}`, undefined]).toContain(texts[0])
  }
})

test('chains of one server share a connection', async () => {
  await using server = await startServer()
  const me = someone()
  const here = machine()
  const options = { as: me, serverKey: server.identity, create: true }
  await using a = await openChain(`${server.url}/one`, options, here)
  await using b = await openChain(`${server.url}/deep/er/two`, options, here)
  await a.transact((tx) => tx.create(Note, { text: 'a' }))
  await b.transact((tx) => tx.create(Note, { text: 'b' }))
  expect(server.connections.size).toBe(1)
})

test('a signal of the whole program holds nothing of the chains that were opened and closed with it', async () => {
  const world = new SimWorld(4)
  await world.startServer()
  const { signal } = new AbortController()
  const options = { as: simPerson('me'), create: true, serverKey: simPerson('server'), signal }
  const listening = (): number => getEventListeners(signal, 'abort').length
  const open = () => world.wait(openChain(`${world.url}/c`, options, world.machine('a')))
  const chain = await open()
  for (let i = 0; i < 20; i++)
    await world.wait(chain.transact((tx) => void tx.create(Note, { text: 'x'.repeat(100_000) })))
  expect(listening()).toBe(0)
  // It is fetched in some steps.
  const again = await open()
  expect(again.children(Note).count()).toBe(20)
  for (const one of [chain, again]) await world.wait(one.close({ signal }))
  expect(listening()).toBe(0)
})

test('what the log says of a transaction is what its author was told', async () => {
  const world = new SimWorld(5, { delayMs: [10, 30] })
  await world.startServer()
  const options = { as: simPerson('me'), serverKey: simPerson('server') }
  // Its author is behind the server: who orders a record says when, up to a minute past what the author says.
  world.setClock('a', -90_000)
  const chain = await world.wait(openChain(`${world.url}/c`, { ...options, create: true }, world.machine('a')))
  const told: unknown[] = []
  for (let i = 0; i < 4; i++) {
    const tx = await world.wait(
      chain.transact((open) => {
        open.create(Note, { text: '' })
        return open
      }),
    )
    told.push(JSON.parse(JSON.stringify(tx.receipt)))
  }
  const other = await world.wait(openChain(`${world.url}/c`, options, world.machine('b')))
  for (const receipt of told as { readonly txId: string }[])
    expect(await world.wait(other.outcome(receipt.txId))).toEqual(receipt)
  await world.wait(Promise.all([chain.close(), other.close()]))
})

test('without a connection a record that is no commit is refused at once: nothing keeps it until there is one', async () => {
  const world = new SimWorld(5)
  await world.startServer()
  const options = { as: simPerson('me'), create: true, serverKey: simPerson('server') }
  const chain = await world.wait(openChain(`${world.url}/c`, options, world.machine('a')))
  await world.wait(chain.transact((tx) => void tx.create(Note, { text: '' }, { expires: 1 })))
  world.killServer()
  await world.time.run(3000)
  const before = world.time.clock.monotonic()
  for (const run of [() => chain.checkpoint(), () => chain.sweep(), () => chain.recover()])
    expect(await codeOf(run())).toBe('OFFLINE')
  // No time is simulated meanwhile: nobody waits for a connection.
  expect(world.time.clock.monotonic()).toBe(before)
  await world.startServer()
  await world.time.run(60_000)
  expect(await world.wait(chain.sweep())).toBe(1)
  await world.wait(chain.close())
})
