/** Archives on a clock that is moved by hand, witnesses, and what is thrown. */
import { type Chain, createIdentity, type Identity, isAteError, memoryEngine, memoryStore, openChain } from '@ate/core'
import { quickPlatform, type TestPlatform, type TestWitness, testWitness } from '@ate/core/testing'
import { type Worm, type WormOptions, worm } from '../src/worm.ts'

const people = new Map<string, Promise<Identity>>()
/** Identities are costly to make: a few, shared by all tests of a file. */
export function person(name: string): Promise<Identity> {
  const identity = people.get(name) ?? createIdentity()
  people.set(name, identity)
  return identity
}

export interface Place {
  readonly platform: TestPlatform
  /** The archive as somebody sees it; the one opened before is closed. */
  open(options?: WormOptions, as?: string): Promise<Worm>
  close(): Promise<void>
}

/** Of another seed it is another chain. */
export function newPlace(at?: string, seed = 1): Place {
  const platform = quickPlatform(seed)
  const store = memoryStore()
  let chain: Chain | undefined
  let id: string | undefined
  const close = async (): Promise<void> => {
    await chain?.close()
    chain = undefined
  }
  return {
    platform,
    async open(options = {}, as = 'root') {
      await close()
      const open = { as: await person(as), ...(id === undefined ? {} : { id }) }
      chain = at === undefined ? await openChain(memoryEngine(store), open, platform) : await openChain(at, open)
      id = chain.id
      return worm(chain, options)
    },
    close,
  }
}

export const YEAR = 31_557_600_000

/** Four witnesses, of which three are enough. */
export function fourWitnesses({ crypto }: TestPlatform): {
  readonly witnesses: { readonly keys: readonly string[]; readonly quorum: 3 }
  readonly all: readonly TestWitness[]
  /** Lines of the first `count` of them, at a time. */
  readonly cosign: (atMs: number, count?: number) => (note: string) => string[]
} {
  const all = ['w1', 'w2', 'w3', 'w4'].map((name) => testWitness(crypto, name))
  return {
    witnesses: { keys: all.map(({ key }) => key), quorum: 3 },
    all,
    cosign:
      (atMs, count = 3) =>
      (note) =>
        all.slice(0, count).map((witness) => witness.cosign(note, atMs)),
  }
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'none'
  } catch (error) {
    return isAteError(error) ? error.code : String(error)
  }
}

export async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const one of list) found.push(one)
  return found
}

export async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

export async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return new TextDecoder().decode(await bytesOf(stream))
}

/** Bytes that look like nothing, the same for one seed. */
export function noise(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size)
  let state = seed
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    bytes[i] = state >>> 24
  }
  return bytes
}
