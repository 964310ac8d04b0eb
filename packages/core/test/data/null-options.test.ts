/** Options that are null, or no object: refused as such at each door, not found out about inside. */
import { describe, expect, it } from 'vitest'
import { rejectionOf } from '../../../../scripts/lib/rejection.ts'
import type { Chain } from '../../src/data/chain.ts'
import { openChain, openIdentity, recover, verifyPlace } from '../../src/index.ts'
import { Count, memoryChain } from './kit.ts'

type Door = (options: never) => unknown

async function first(steps: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of steps) return
}

function doorsOf(chain: Chain): Readonly<Record<string, Door>> {
  return {
    openChain: (options) => openChain('memory:', options),
    openIdentity: (options) => openIdentity('/nowhere/identity', options),
    verifyPlace: (options) => verifyPlace('memory:', options),
    recover: (options) => recover('memory:', options),
    transact: (options) => chain.transact(() => 1, options),
    conflicts: (options) => first(chain.conflicts(options)),
    begin: (options) => chain.begin(options),
    named: (options) => chain.named(Count, 'a', options),
    idOf: (options) => chain.idOf(Count, 'a', options),
    attachedKey: (options) => chain.attachedKey(chain.id, options),
    events: (options) => first(chain.events(options)),
    eventBatches: (options) => first(chain.eventBatches(options)),
    watch: (options) => first(chain.watch(options)),
    records: (options) => first(chain.records(options)),
    verify: (options) => chain.verify(options),
    checkpoint: (options) => chain.checkpoint(options),
    reseal: (options) => chain.reseal(chain.id, options),
    compact: (options) => chain.compact(options),
    doctor: (options) => chain.doctor(options),
    backup: (options) => chain.backup('/nowhere/backup', options),
    chainRecover: (options) => chain.recover(options),
    close: (options) => chain.close(options),
  }
}

describe('options that are no object', () => {
  it.each([null, 'none', 1])('are BAD_ARGUMENT at every door: %s', async (given) => {
    await using kit = await memoryChain()
    for (const [name, door] of Object.entries(doorsOf(kit.chain))) {
      const error = await rejectionOf(() => door(given as never))
      expect([name, error]).toMatchObject([name, { code: 'BAD_ARGUMENT' }])
    }
    await kit.chain.transact((tx) => tx.create(Count, { n: 1 }))
  })
})
