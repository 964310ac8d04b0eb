/** A client that always has something on its way attests what it has written within a second or two, as any other. */
import { expect, test } from 'vitest'
import { ATTEST_DELAY_MS } from '../../src/base/limits.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { SimWorld, simPerson } from './sim-world.ts'

const Note = defineType<{ text: string }>('note')
const SECONDS = 5

test.each([2, 8])('%i at a time that never pause: what is written is attested meanwhile', async (workers) => {
  const world = new SimWorld(workers)
  await world.startServer()
  const options = { as: simPerson('alice'), serverKey: simPerson('server'), create: true }
  const chain = await world.wait(openChain(`${world.url}/notes`, options, world.machine('alice')))
  let isOver = false
  const written = Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      for (let i = 0; !isOver; i++) await chain.transact((tx) => tx.put(Note, `${worker}`, { text: `${i}` }))
    }),
  )
  // Of each second, the newest record, and up to where the log was attested.
  const heads: number[] = []
  const attested: number[] = []
  for (let second = 0; second < SECONDS; second++) {
    await world.time.run(ATTEST_DELAY_MS)
    heads.push(chain.stats().records - 1)
    attested.push(chain.stats().attestedSeq)
  }
  isOver = true
  await world.wait(written)
  for (let second = 2; second < SECONDS; second++) expect(attested[second]).toBeGreaterThanOrEqual(heads[second - 2]!)
  await world.wait(chain.close())
})
