/** Which queues a chain has. */
import type { Chain } from '@ate/core'
import { IN, QueueRecord } from './queue-records.ts'

/** Names of the queues of a chain, in the order in which they were made. */
export async function queueNames(chain: Chain): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of chain.children(QueueRecord, undefined, IN.queues))
    if (name !== undefined) names.push(name)
  return names
}
