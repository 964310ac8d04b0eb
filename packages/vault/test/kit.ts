/** A vault with a clock that is moved by hand, several people, and a place that they all open. */
import { randomFillSync } from 'node:crypto'
import process from 'node:process'
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
import { webMakers } from '../src/makers.ts'
import { type Vault, type VaultOptions, vault } from '../src/vault.ts'
import { servedPlace } from './kit-served.ts'

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
    // Who waits looks at the clock that is moved by hand.
    sleep: (ms, signal) => webMakers.sleep(Math.min(ms, 5), signal),
  }
}

/**
 * Where ATE_VAULT_SERVED is set, and no place is asked for, a server keeps the chain: the whole suite runs over it. Its value is
 * the server's `keyAccess`.
 */
export async function newPlace(at?: string): Promise<Place> {
  const root = await createIdentity()
  const store = memoryStore()
  const access = process.env['ATE_VAULT_SERVED']
  const served =
    at === undefined && access ? await servedPlace({ keyAccess: access as 'open' | 'recorded' }) : undefined
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
      chain = served
        ? await served.open(as)
        : await openChain(at ?? memoryEngine(store), { as, ...(id === undefined ? {} : { id }) })
      id = chain.id
      return vault(chain, options, makers)
    },
    async close() {
      await close()
      await served?.close()
    },
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
