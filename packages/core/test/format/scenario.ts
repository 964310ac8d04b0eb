/**
 * A small chain that holds every kind of record, most operations and both modes of sealing: what format-1/ froze, and
 * what the independent verifier reads. With noble's algorithms, the same seed gives the same bytes.
 */
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import type { Chain } from '../../src/data/chain.ts'
import { defineType, type EntityType } from '../../src/data/entity-type.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { role } from '../../src/data/policy-input.ts'
import { nodeFileSystem } from '../../src/node/file-system.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { type TestPlatform, testPlatform } from '../../src/testing/test-platform.ts'

export const Note: EntityType<{ text: string }> = defineType('note')
export const Account: EntityType<{ owner: string }> = defineType('account')

export interface Scenario {
  readonly chainId: string
  readonly head: { readonly seq: number; readonly hash: Uint8Array }
  readonly alice: Identity
  readonly bob: Identity
  /** Ids by what they are. */
  readonly ids: Made & { readonly letter: string }
}

/** The simulated clock and randomness, with the real disk below `file:`. */
export function diskPlatform(seed: number, crypto: CryptoProvider): TestPlatform {
  return { ...testPlatform(seed, { crypto }), openFolder: async (path) => nodeFileSystem(path) }
}

/** Alice makes the chain, bob writes into it, and alice takes bob out and a device in: three sessions, three certificates. */
export async function writeScenario(path: string, crypto: CryptoProvider): Promise<Scenario> {
  const platform = diskPlatform(20, crypto)
  const makers = { crypto, random: seededRandom(21) }
  const alice = newIdentity(makers)
  const bob = newIdentity(makers)
  const at = `file:${path}`

  const first = await openChain(at, { as: alice }, platform)
  const made = await create(first, alice, bob)
  platform.advance(120_000)
  await change(first, made)
  await first.close()

  const asBob = await openChain(at, { as: bob, id: first.id }, platform)
  const letter = await asBob.transact((tx) => {
    tx.add(made.account, 'balance', -3n)
    tx.add(made.reserve, 'balance', 3n)
    return tx.create(Note, { text: 'a letter' }, { parent: made.mailbox, in: 'letters' })
  })
  await asBob.close()

  const last = await openChain(at, { as: alice }, platform)
  await last.transact((tx) => {
    tx.role('crew').remove(bob)
    tx.create(Note, { text: 'without bob' }, { parent: made.box })
  })
  await last.transact((tx) => tx.person().add(newIdentity(makers)))
  await last.close()
  return { chainId: first.id, head: last.head, alice, bob, ids: { ...made, letter: letter.id } }
}

type Made = Readonly<Record<'box' | 'changed' | 'moved' | 'deleted' | 'mailbox' | 'reserve' | 'account', string>>

function create(chain: Chain, alice: Identity, bob: Identity): Promise<Made> {
  return chain.transact((tx) => {
    tx.role('crew').add(bob)
    const crew = [role('crew')]
    const box = tx.create(Note, { text: 'box' }, { read: crew, write: crew })
    const notes = Array.from({ length: 20 }, (_, i) => tx.create(Note, { text: `note ${i}` }, { parent: box }))
    // Bob writes here and does not read: his letter is sealed to the key that the epoch publishes.
    const mailbox = tx.create(Note, { text: 'mailbox' }, { read: [alice], write: crew })
    const unit = tx.create(Note, { text: 'gold' })
    const balance = { unit, floor: 0n, ceiling: 100n }
    const reserve = tx.create(
      Account,
      { owner: 'nobody' },
      { name: 'reserve', counters: { balance: { ...balance, value: 20n, up: 'everyone' } } },
    )
    const account = tx.create(
      Account,
      { owner: 'crew' },
      { write: crew, counters: { balance: { ...balance, value: 10n } } },
    )
    tx.create(Note, { text: 'gone in a minute' }, { ttl: '1m' })
    tx.create(Note, { text: 'kept' }, { name: 'kept', retain: 1_700_000_500_000, holds: ['court'] })
    const [changed, moved, deleted] = notes.map(({ id }) => id)
    const ids = { box: box.id, mailbox: mailbox.id, reserve: reserve.id, account: account.id }
    return { ...ids, changed: changed!, moved: moved!, deleted: deleted! }
  })
}

async function change(chain: Chain, made: Made): Promise<void> {
  await chain.transact(async (tx) => {
    await tx.update(Note, made.changed, ({ text }) => ({ text: `${text}, changed` }))
    tx.move(made.moved, { parent: made.box, in: 'moved' })
    tx.delete(made.deleted)
    tx.guard.members(made.box, 'note', 20)
    tx.guard.subtree(made.mailbox, 1)
  })
  await chain.transact((tx) => tx.forget(made.deleted))
  await chain.sweep()
  await chain.checkpoint()
}
