/** What a machine remembers when it meets a chain that was recovered: which heads are lost, and which stand as they did. */
import { describe, expect, it } from 'vitest'
import { chainIdOf } from '../../src/base/ids.ts'
import { isLost, isRecovered, rememberRecovered, settleRecoveries } from '../../src/chain/recovered.ts'
import type { Head } from '../../src/log/engine.ts'
import { forgetRecoveries } from '../../src/session/known-recoveries.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { rememberedHead, rememberHead } from '../../src/session/remembered-heads.ts'
import type { StateStore } from '../../src/session/state-store.ts'
import type { Forger } from '../../src/testing/chain-kit.ts'
import { forger, root } from '../chain/kit.ts'
import { headOf, other } from './evidence-kit.ts'

/** Two commits, a recovery at 3 that says that from 2 on other copies may differ, and a commit behind it. */
function recovered(): Forger {
  const chain = forger()
  const boss = chain.session(root)
  for (let i = 0; i < 2; i++) chain.write(boss, [chain.tx()])
  chain.feed(chain.recovery(root, { from: 2, hash: headOf(chain, 1).hash }))
  chain.write(chain.session(root), [chain.tx()])
  return chain
}

async function remembering({ chainId }: Forger, ...heads: readonly Head[]): Promise<StateStore> {
  const state = memoryState()
  for (const head of heads) await rememberHead(state, chainIdOf(chainId), { ...head, at: 0 }).catch(() => undefined)
  return state
}

describe('a head that is remembered', () => {
  it('is lost from where the recovery says on, unless the record stands there', () => {
    const chain = recovered()
    const { replica } = chain
    const lost = (head: Head): boolean => isLost(replica, head, replica.trust.recoveries)
    expect([1, 2, 3, 4, 9].map((seq) => lost({ seq, hash: other }))).toEqual([false, true, true, true, true])
    expect([1, 2, 3, 4].map((seq) => lost(headOf(chain, seq)))).toEqual(Array(4).fill(false))
    expect(isLost(replica, { seq: 9, hash: other }, [])).toBe(false)
  })

  it('is forgotten if it is lost, and once', async () => {
    const chain = recovered()
    const id = chainIdOf(chain.chainId)
    const beyond = { seq: 9, hash: other }
    const state = await remembering(chain, beyond)
    expect(await isRecovered(state, chain.replica, { ...beyond, at: 0 })).toBe(true)
    await settleRecoveries(state, chain.replica)
    expect(await rememberedHead(state, id)).toBe(undefined)
    // The same recovery says nothing of what was seen since.
    await rememberHead(state, id, { ...beyond, at: 0 })
    expect(await isRecovered(state, chain.replica, { ...beyond, at: 0 })).toBe(false)
    await settleRecoveries(state, chain.replica)
    expect(await rememberedHead(state, id)).toMatchObject(beyond)
    // Until the chain itself is gone from this machine.
    await forgetRecoveries(state, id)
    expect(await isRecovered(state, chain.replica, { ...beyond, at: 0 })).toBe(true)
  })

  it('stands if another record was seen before that, and if it is one of the chain', async () => {
    const chain = recovered()
    for (const head of [{ seq: 1, hash: other }, headOf(chain, 4)]) {
      const state = await remembering(chain, head)
      await settleRecoveries(state, chain.replica)
      expect(await rememberedHead(state, chainIdOf(chain.chainId))).toMatchObject(head)
    }
  })

  it('is looked at only if there is a recovery that is new', async () => {
    const chain = forger()
    const state = await remembering(chain, { seq: 9, hash: other }, { seq: 9, hash: new Uint8Array(32) })
    await expect(rememberedHead(state, chainIdOf(chain.chainId))).rejects.toMatchObject({ code: 'FORK' })
    await settleRecoveries(state, chain.replica)
  })

  it('of who has recovered the chain is that of the recovered one', async () => {
    const chain = recovered()
    const state = await remembering(chain, { seq: 9, hash: other })
    await rememberRecovered(state, chain.replica)
    expect(await rememberedHead(state, chainIdOf(chain.chainId))).toMatchObject(chain.replica.head)
  })
})
