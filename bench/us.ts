/** Our side, by the public API alone: one chain in a folder, one type, one collection. */
import { join } from 'node:path'
import type { Engine, Store } from './engine.ts'

/**
 * The part of @ate/core that the bench calls. It is loaded by a variable name and checked at run time, so that the
 * bench of the peers runs while the package does not build; the bench's own run is the check of this shape.
 */
interface Core {
  openChain(at: string, options: { as: unknown; snapshot: 'use' | 'ignore' }): Promise<Chain>
  openIdentity(file: string, options: { create: boolean }): Promise<unknown>
  defineType<Value>(name: string): Type<Value>
}
interface Type<Value> {
  readonly name: string
  readonly value?: Value
}
interface Handle {
  readonly id: string
}
interface Transaction {
  create<Value>(type: Type<Value>, value: Value, options: { in: string }): Handle
  update<Value>(handle: Handle, change: (value: Value) => Value): Promise<unknown>
}
interface Chain {
  transact<Result>(run: (tx: Transaction) => Result | Promise<Result>, options?: { durability: 'os' }): Promise<Result>
  get<Value>(type: Type<Value>, id: string): Promise<Value | undefined>
  verify(): Promise<{ ok: boolean; records: number }>
  compact(): Promise<{ bytesFreed: number }>
  stats(): { logBytes: number; entities?: number }
  close(): Promise<void>
}
interface Value {
  v: string
}

const CORE = '@ate/core'
const COLLECTION = { in: 'c' }

export const engine: Engine = {
  name: 'ate',
  durability: 'disk',
  note: 'ours: every event signed, linked, encrypted; file engine; an entity is created in one collection',
  load: loadCore,
  open: (folder) => openStore(folder, 'use'),
  openFully: (folder) => openStore(folder, 'ignore'),
}

async function openStore(folder: string, snapshot: 'use' | 'ignore'): Promise<Store> {
  // What this machine remembers of chains goes where the data goes, not into the user's own state folder.
  process.env['ATE_HOME'] = join(folder, 'home')
  const core = await loadCore()
  const Thing = core.defineType<Value>('thing')
  const as = await core.openIdentity(join(folder, 'identity'), { create: true })
  const openAgain = () => core.openChain(`file:${join(folder, 'chain')}`, { as, snapshot })
  let chain = await openAgain()
  const handles: Handle[] = []
  async function create(values: readonly string[]): Promise<void> {
    const made = await chain.transact((tx) => values.map((v) => tx.create(Thing, { v }, COLLECTION)))
    for (const handle of made) handles.push(handle)
  }
  async function createOne(v: string): Promise<void> {
    handles.push(await chain.transact((tx) => tx.create(Thing, { v }, COLLECTION)))
  }
  return {
    create: (values) => (values.length === 1 ? createOne(values[0]!) : create(values)),
    createEach: (values) => Promise.all(values.map(createOne)),
    append: (values) =>
      chain.transact((tx) => {
        for (const v of values) tx.create(Thing, { v }, COLLECTION)
      }),
    async appendOnes(values) {
      for (const v of values) await chain.transact((tx) => tx.create(Thing, { v }, COLLECTION), { durability: 'os' })
    },
    update: (first, values) =>
      chain.transact(async (tx) => {
        for (let i = 0; i < values.length; i++) {
          const v = values[i]!
          await tx.update<Value>(handles[first + i]!, () => ({ v }))
        }
      }),
    get: (index) => chain.get(Thing, handles[index]!.id),
    async reopen() {
      await chain.close()
      chain = await openAgain()
    },
    async verifyAll() {
      const report = await chain.verify()
      if (!report.ok) throw new Error('verify() found a problem in what the bench wrote')
      return chain.stats().entities ?? Number.POSITIVE_INFINITY
    },
    compact: async () => (await chain.compact()).bytesFreed,
    logBytes: () => chain.stats().logBytes,
    close: () => chain.close(),
  }
}

async function loadCore(): Promise<Core> {
  try {
    const core = (await import(CORE)) as Partial<Core>
    if (core.openChain && core.openIdentity && core.defineType) return core as Core
  } catch (cause) {
    throw new Error(`@ate/core does not load: ${cause instanceof Error ? cause.message : cause}`, { cause })
  }
  throw new Error('@ate/core does not export openChain, openIdentity and defineType yet')
}
