/** Shared by the tests of the bus: chains in memory, a schema, and an engine that dies. */
import {
  type Chain,
  createIdentity,
  defineType,
  type EntityType,
  type Identity,
  isAteError,
  type MemoryStore,
  memoryEngine,
  memoryStore,
  openChain,
  type StandardSchema,
} from '@ate/core'
import { type BusEnvironment, ownEnvironment } from '../src/environment.ts'

type Engine = ReturnType<typeof memoryEngine>

let identity: Promise<Identity> | undefined
/** Identities are costly to make without native code: one for all tests of a file. */
export function alice(): Promise<Identity> {
  identity ??= createIdentity()
  return identity
}

export interface Place {
  readonly store: MemoryStore
  id: string | undefined
}

export function place(): Place {
  return { store: memoryStore(), id: undefined }
}

/** The chain of a place, made on first use. `engine` may stand before the real one. */
export async function openAt(at: Place, wrap: (engine: Engine) => Engine = (engine) => engine): Promise<Chain> {
  const engine = wrap(memoryEngine(at.store))
  const chain = await openChain(engine, { as: await alice(), ...(at.id === undefined ? {} : { id: at.id }) })
  at.id = chain.id
  return chain
}

export function open(): Promise<Chain> {
  return openAt(place())
}

const opened: { close(): Promise<void> }[] = []

/** Closed when the test ends, the newest first; whatever becomes of that. */
export function closeLater<C extends { close(): Promise<void> }>(one: C): C {
  opened.push(one)
  return one
}

export async function closeAll(): Promise<void> {
  for (const one of opened.splice(0).reverse()) await one.close().catch(() => undefined)
}

export interface Letters {
  a: number
  b: number
}
export const Done: EntityType<number> = defineType<number>('done')

export async function codeOf(run: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof run === 'function' ? run() : run)
  } catch (error) {
    if (isAteError(error)) return error.code
    throw error
  }
  return 'nothing was thrown'
}

/** A schema of an object with these fields. */
export function shape<T>(fields: Readonly<Record<string, string>>): StandardSchema<T, T> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate(value) {
        if (typeof value !== 'object' || value === null) return { issues: [{ message: 'no object' }] }
        for (const [name, type] of Object.entries(fields)) {
          const found = typeof (value as Record<string, unknown>)[name]
          if (found !== type) return { issues: [{ message: `is no ${type}`, path: [name] }] }
        }
        return { value: value as T }
      },
    },
  }
}

export async function collect<T>(from: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of from) all.push(one)
  return all
}

/** Lets everything that is ready run. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i > 200_000) throw new Error('it does not happen')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

export function deferred<T = void>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

/** An environment in which retention looks when it is told to: `looks` are those that wait. */
export function heldLooks(): { readonly environment: BusEnvironment; readonly looks: (() => void)[] } {
  const looks: (() => void)[] = []
  const environment: BusEnvironment = {
    ...ownEnvironment,
    timer: (ms, run) => {
      if (ms !== 1000) return ownEnvironment.timer(ms, run)
      looks.push(run)
      return () => undefined
    },
  }
  return { environment, looks }
}
