/** Shared by the tests: chains on a clock that is moved by hand, and what is thrown. */
import {
  type Chain,
  createIdentity,
  type Identity,
  isAteError,
  type LogEngine,
  memoryEngine,
  memoryStore,
  openChain,
} from '@ate/core'
import { quickPlatform, type TestPlatform } from '@ate/core/testing'
import { type Currency, currency, type Money, money } from '../src/index.ts'
import { Account, LedgerNode } from '../src/ledger-records.ts'

export const GOLD: Currency<'GOLD'> = currency('GOLD', 2)
export const SILVER: Currency<'SILVER'> = currency('SILVER', 0)
export const gold = (units: bigint): Money<'GOLD'> => money(GOLD, units)

const people = new Map<string, Promise<Identity>>()
/** Identities are costly to make: a few, shared by all tests of a file. */
export function person(name: string): Promise<Identity> {
  let identity = people.get(name)
  if (!identity) {
    identity = createIdentity()
    people.set(name, identity)
  }
  return identity
}

export function platformOf(seed = 1): TestPlatform {
  return quickPlatform(seed)
}

/** One chain that is opened by several in turn, as each of them. */
export class Shared {
  readonly platform: TestPlatform
  readonly #store = memoryStore()
  #id: string | undefined

  constructor(platform: TestPlatform = platformOf()) {
    this.platform = platform
  }

  get engine(): LogEngine {
    return memoryEngine(this.#store)
  }

  async open(name: string): Promise<Chain> {
    const options = { as: await person(name), ...(this.#id === undefined ? {} : { id: this.#id }) }
    const chain = await openChain(this.engine, options, this.platform)
    this.#id = chain.id
    return chain
  }

  async as<R>(name: string, run: (chain: Chain) => Promise<R>): Promise<R> {
    const chain = await this.open(name)
    try {
      return await run(chain)
    } finally {
      await chain.close()
    }
  }
}

/** An account as a version of before opened it, beside others of its currency's code and another scale. */
export async function openByHand(chain: Chain, name: string, { code, scale }: Currency, floor?: bigint): Promise<void> {
  const parent = (await chain.children(LedgerNode).page())[0]!
  const terms = {
    currency: [code, scale] as const,
    normal: 'credit' as const,
    ...(floor === undefined ? {} : { floor }),
  }
  await chain.transact((tx) => void tx.create(Account, { ...terms, sums: [0n, 0n, 0n, 0n] }, { parent, name }))
}

export async function codeOf(run: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof run === 'function' ? run() : run)
    return 'none'
  } catch (error) {
    return isAteError(error) ? error.code : String(error)
  }
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
