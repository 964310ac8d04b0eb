/**
 * Nodes below the root that everybody must find who may read them, and who need not read the root: names would be blinded with
 * a key of the root's readers, so the first of its kind that says the name is the one.
 */
import { type Chain, type Entity, type EntityType, isAteError, type Transaction } from '@ate/core'

/** As acknowledged. What this session cannot read is not what it looks for. */
export async function findNode<T>(
  chain: Chain,
  type: EntityType<T>,
  isIt: (value: T) => boolean,
): Promise<Entity<T> | undefined> {
  for (const id of chain.children(type).ids()) {
    const found = await readable(() => chain.get(type, id))
    if (found && isIt(found.value)) return found
  }
  return undefined
}

/**
 * For who only reads, and has found none: the one that is looked for may be among those that this session cannot read.
 * @throws AteError NO_READ_KEY if there is such a one
 */
export async function assertAllReadable<T>(chain: Chain, type: EntityType<T>): Promise<void> {
  for (const id of chain.children(type).ids()) await chain.get(type, id)
}

/** With what is staged, and guarded: of two who make the node at once, one looks again. */
export async function findStagedNode<T>(
  { chain, tx }: { readonly chain: Chain; readonly tx: Transaction },
  type: EntityType<T>,
  isIt: (value: T) => boolean,
): Promise<Entity<T> | undefined> {
  const found = await readable(async () => {
    for await (const node of tx.children(type, undefined)) if (isIt(node.value)) return node
    return undefined
  })
  return found ?? findNode(chain, type, isIt)
}

async function readable<R>(read: () => Promise<R>): Promise<R | undefined> {
  try {
    return await read()
  } catch (error) {
    if (isAteError(error) && error.code === 'NO_READ_KEY') return undefined
    throw error
  }
}
