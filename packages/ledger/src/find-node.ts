/**
 * Nodes below the root that everybody must find who may read them, and who need not read the root: names would be blinded with
 * a key of the root's readers, so the first of its kind that says the name is the one.
 */
import { type Chain, type Entity, type EntityType, isAteError, type PolicyInput, type Transaction } from '@ate/core'

/** As acknowledged. What this session cannot read is not what it looks for, nor what is no value of the type. */
export async function findNode<T>(
  chain: Chain,
  type: EntityType<T>,
  isIt: (value: T) => boolean,
): Promise<Entity<T> | undefined> {
  for (const id of chain.children(type).ids()) {
    const found = await unless(['NO_READ_KEY', 'BAD_VALUE'], () => chain.get(type, id))
    if (found && isIt(found.value)) return found
  }
  return undefined
}

/**
 * For who only reads, and has found none: the one that is looked for may be among those that this session cannot read.
 * @throws AteError NO_READ_KEY if there is such a one
 */
export async function assertAllReadable<T>(chain: Chain, type: EntityType<T>): Promise<void> {
  for (const id of chain.children(type).ids()) await unless(['BAD_VALUE'], () => chain.get(type, id))
}

/** Nodes that transactions have made, by type and key, through whichever handle. */
const made = new WeakMap<Transaction, Map<string, Entity<unknown>>>()

interface Wanted<T> {
  readonly type: EntityType<T>
  /** The text that its value says. */
  readonly key: string
  readonly isIt: (value: T) => boolean
}

/**
 * With what is staged, and guarded: of two who make the node at once, one looks again. Behind a node that cannot be read nobody
 * sees what is staged, so `stageNode` remembers it.
 */
export async function findStagedNode<T>(
  { chain, tx }: { readonly chain: Chain; readonly tx: Transaction },
  { type, key, isIt }: Wanted<T>,
): Promise<Entity<T> | undefined> {
  const own = made.get(tx)?.get(`${type.name} ${key}`)
  if (own) return own as Entity<T>
  const found = await unless(['NO_READ_KEY', 'BAD_VALUE'], async () => {
    for await (const node of tx.children(type, undefined)) if (isIt(node.value)) return node
    return undefined
  })
  return found ?? findNode(chain, type, isIt)
}

/** Makes it, where `findStagedNode` has found none. */
export function stageNode<T>(
  tx: Transaction,
  { type, key }: Pick<Wanted<T>, 'type' | 'key'>,
  value: T,
  policies: PolicyInput & { readonly closed?: boolean },
): Entity<T> {
  const node = tx.create(type, value, policies)
  const nodes = made.get(tx) ?? new Map<string, Entity<unknown>>()
  made.set(tx, nodes.set(`${type.name} ${key}`, node))
  return node
}

async function unless<R>(codes: readonly string[], read: () => Promise<R>): Promise<R | undefined> {
  try {
    return await read()
  } catch (error) {
    if (isAteError(error) && codes.includes(error.code)) return undefined
    throw error
  }
}
