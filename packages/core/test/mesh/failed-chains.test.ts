/** Chains whose log has failed: who follows one is told, whenever he came, and what is opened in its place is another one. */
import { expect, it, vi } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { defineType } from '../../src/data/entity-type.ts'
import type { Asking } from '../../src/mesh/host.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { GatedEngine } from '../../src/testing/gated-engine.ts'
import { Journal } from '../../src/view/journal.ts'
import { SimWorld, simPerson } from './sim-world.ts'

const Note = defineType<{ n: number }>('note')

/** A chain at a server whose log fails with the next commit once `breakLog` is called. */
async function begin() {
  const world = new SimWorld(1)
  const gates: GatedEngine[] = []
  const server = await world.startServer({
    engineOf: (engine) => {
      const gate = new GatedEngine(engine)
      gates.push(gate)
      return gate
    },
  })
  const me = simPerson('me')
  const options = { as: me, serverKey: simPerson('server') }
  const chain = await world.wait(openChain(`${world.url}/c`, { ...options, create: true }, world.machine('a')))
  const open = (name: string) => world.wait(openChain(`${world.url}/c`, options, world.machine(name)))
  const breakLog = (): void => {
    gates.at(-1)!.failNext = new AteError('IO_ERROR', { what: 'append' })
  }
  const write = (): Promise<unknown> => chain.transact((tx) => tx.create(Note, { n: 1 }))
  const asking: Asking = { identity: me, admitCreate: async () => undefined }
  return { world, host: server.host, chain, open, breakLog, write, asking }
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: AteError) => error.code,
  )

it('gives back the chain that was acquired, and no other one of its name', async () => {
  const { world, host, chain, breakLog, write, asking } = await begin()
  const failed = await host.acquire('c', asking, undefined)
  breakLog()
  expect(await world.wait(codeOf(write()))).not.toBe('done')
  await world.wait(chain.close())
  const opened = await world.wait(host.acquire('c', asking, undefined))
  expect(opened).not.toBe(failed)
  host.release(failed)
  await world.time.run(120_000)
  expect(host.isOpen('c')).toBe(true)
  // It was moved, for all that the failed one knows.
  await host.forget(failed)
  expect(host.isOpen('c')).toBe(true)
  host.release(opened)
  await world.time.run(120_000)
  expect(host.isOpen('c')).toBe(false)
})

it('tells who has just acquired a chain that it has failed meanwhile', async () => {
  const { world, host, chain, open, breakLog, write } = await begin()
  const acquire = host.acquire.bind(host)
  host.acquire = async (...given) => {
    const hosted = await acquire(...given)
    host.acquire = acquire
    breakLog()
    await codeOf(write())
    return hosted
  }
  expect(await codeOf(open('b'))).toBe('IO_ERROR')
  await world.wait(chain.close())
  const other = await open('b')
  await world.wait(other.transact((tx) => tx.create(Note, { n: 2 })))
  expect(other.children(Note).count()).toBe(1)
  await world.wait(other.close())
  await world.time.run(300_000)
  expect(host.size).toBe(0)
})

/** Journals that cannot be taken back from here on: a mistake of ours, wherever it was. */
function breakUndo() {
  return vi.spyOn(Journal.prototype, 'undo').mockImplementation(() => {
    throw new TypeError('a mistake of ours')
  })
}

it('ends a chain that has failed also where what was staged cannot be taken back', async () => {
  const { world, chain, breakLog, write } = await begin()
  breakLog()
  const undo = breakUndo()
  try {
    const all = await world.wait(Promise.all([codeOf(write()), codeOf(write())]))
    expect(undo).toHaveBeenCalled()
    expect(all).toEqual(['INDETERMINATE', 'INDETERMINATE'])
  } finally {
    undo.mockRestore()
  }
  expect(await codeOf(write())).toBe('IO_ERROR')
  await world.wait(chain.close())
})

it('ends a chain, and not the process, where what was staged cannot be taken back when records of others come', async () => {
  const { world, chain, open, write } = await begin()
  const other = await open('b')
  const undo = breakUndo()
  try {
    const theirs = codeOf(other.transact((tx) => tx.create(Note, { n: 2 })))
    await world.time.run(1)
    // A rejection that nobody handles fails this file.
    expect(await world.wait(codeOf(write()))).toBe('INDETERMINATE')
    expect(undo).toHaveBeenCalled()
    await world.wait(theirs)
    await world.time.run(1000)
  } finally {
    undo.mockRestore()
  }
  expect(await codeOf(write())).toBe('INTERNAL')
  await world.wait(Promise.all([chain.close(), other.close()]))
})
