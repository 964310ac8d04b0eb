/** `chain.now` never goes back: records that do not move chain time leave it running. */
import { setTimeout } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createIdentity, defineType, openChain } from '../../src/index.ts'

it('a checkpoint does not set now back to the last commit', async () => {
  const chain = await openChain('memory:', { as: await createIdentity() })
  await chain.transact((tx) => tx.create(defineType<number>('n'), 1))
  await setTimeout(50)
  const before = chain.now
  await chain.checkpoint()
  expect(chain.now).toBeGreaterThanOrEqual(before)
  await chain.close()
})
