/** A vault with a clock that is moved by hand, several people, and a place that they all open. */
import { randomFillSync } from 'node:crypto'
import {
  type Chain,
  createIdentity,
  type Identity,
  memoryEngine,
  memoryStore,
  openChain,
  type StandardSchema,
} from '@ate/core'
import type { Makers } from '../src/context.ts'
import { type Vault, type VaultOptions, vault } from '../src/vault.ts'

export interface Place {
  readonly root: Identity
  readonly makers: Makers & { move(ms: number): void }
  /** A vault as somebody sees it; the one opened before is closed. */
  open(as?: Identity, options?: VaultOptions): Promise<Vault>
  close(): Promise<void>
}

/** A Standard Schema of `{ field: text }`; its messages quote what they refuse, as those of some libraries do. */
export function fieldSchema<K extends string>(
  field: K,
  holds: (text: string) => boolean = () => true,
): StandardSchema<unknown, Record<K, string>> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate(value) {
        const text: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined
        if (typeof text === 'string' && holds(text)) return { value: value as Record<K, string> }
        return { issues: [{ message: `bad: ${JSON.stringify(value)}`, path: [field] }] }
      },
    },
  }
}

function clockMakers(): Place['makers'] {
  let moved = 0
  return {
    now: () => Date.now() + moved,
    move: (ms) => {
      moved += ms
    },
    random: (size) => randomFillSync(new Uint8Array(size)),
    sleep: async () => undefined,
  }
}

export async function newPlace(at?: string): Promise<Place> {
  const root = await createIdentity()
  const store = memoryStore()
  const makers = clockMakers()
  let chain: Chain | undefined
  let id: string | undefined
  const close = async (): Promise<void> => {
    await chain?.close()
    chain = undefined
  }
  return {
    root,
    makers,
    async open(as = root, options = {}) {
      await close()
      chain = await openChain(at ?? memoryEngine(store), { as, ...(id === undefined ? {} : { id }) })
      id = chain.id
      return vault(chain, options, makers)
    },
    close,
  }
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'none'
  } catch (error) {
    return String((error as { code?: unknown }).code ?? error)
  }
}

export async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const one of list) found.push(one)
  return found
}
