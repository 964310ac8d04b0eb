/** What the tests of the fold share: a provider, actors, a chain with the usual nodes, and how outcomes are told. */
import { expect } from 'vitest'
import type { ErrorCode } from '../../src/base/errors.ts'
import { isAteError } from '../../src/base/errors.ts'
import type { Accepted } from '../../src/chain/replica.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import type { EntityWords } from '../../src/event/entity-words.ts'
import type { Guard } from '../../src/event/transaction-event.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import {
  type Actor,
  actorOf,
  type CommitOptions,
  create,
  type ForgedEvent,
  type ForgedSession,
  type ForgedTransaction,
  Forger,
  type ForgerOptions,
  nameKey,
  rememberingProvider,
} from '../../src/testing/chain-kit.ts'
import { stateText } from './digest.ts'

/** What a transaction is put together from. */
export type Part = ForgedEvent | Guard

export const crypto: CryptoProvider = rememberingProvider(nodeProvider())

export const root: Actor = actorOf(crypto, 'root')
export const ann: Actor = actorOf(crypto, 'ann')
export const bob: Actor = actorOf(crypto, 'bob')
export const eve: Actor = actorOf(crypto, 'eve')
/** Keys that no policy names: devices and successors of others. */
export const devices: readonly Actor[] = ['phone', 'tablet', 'watch', 'laptop'].map((name) => actorOf(crypto, name))

export function forger(options: Partial<ForgerOptions> = {}): Forger {
  return new Forger({ crypto, roots: [root], ...options })
}

/** `committed`, or the code of each transaction. */
export function outcomesOf(accepted: Accepted): string[] {
  return (accepted.outcomes ?? []).map((outcome) => outcome?.code ?? 'committed')
}

/** Writes one transaction and expects it to commit. */
export function commits(chain: Forger, session: ForgedSession, ...events: readonly Part[]): ForgedTransaction {
  const tx = chain.tx(...events)
  const accepted = chain.write(session, [tx])
  expect(accepted.outcomes?.map((outcome) => outcome && { code: outcome.code, ...outcome.facts })).toEqual([undefined])
  return tx
}

/** The entity that one event creates. */
export function creates(chain: Forger, session: ForgedSession, event: ForgedEvent): EntityWords {
  const tx = commits(chain, session, event)
  return event.key
    ? chain.nameOf(event.parent ?? chain.replica.view.wordsOf(0), event.collection ?? '', event.key)
    : chain.idOf(session.actor, tx)
}

/**
 * Writes one transaction between two that are sound, in one commit: it is refused with this code and these facts, they
 * commit, and the state is as if it had not been there.
 */
export function refuses(
  chain: Forger,
  session: ForgedSession,
  given: ForgedTransaction | readonly Part[],
  code: ErrorCode,
  facts: Readonly<Record<string, unknown>> = {},
  options: CommitOptions = {},
): void {
  const tx = 'events' in given ? given : chain.tx(...given)
  const before = stateText(chain.replica)
  const alone = chain.write(session, [tx], options)
  expect(alone.outcomes?.[0]).toMatchObject({ code, facts })
  expect(stateText(chain.replica)).toBe(before)
  const free = { kind: 4, entity: chain.replica.view.wordsOf(0), collection: '', count: 0 } as const
  // A commit with other voids around it: they and it are judged one by one.
  const around = [chain.tx(), { ...tx }, chain.tx(free), chain.tx()]
  const among = chain.write(session, around, options)
  expect(among.outcomes?.map((outcome) => outcome?.code)).toEqual([undefined, code, 'NOT_EXPIRED', undefined])
  expect(stateText(chain.replica)).toBe(before)
}

/** The code of an alarm, after which the replica is as it was. */
export function alarms(
  chain: Forger,
  run: () => unknown,
  code: ErrorCode,
  facts: Readonly<Record<string, unknown>> = {},
): void {
  const before = stateText(chain.replica)
  const { head, chainTime } = chain.replica
  const caught = errorOf(run)
  expect(isAteError(caught) ? { code: caught.code, facts: caught.facts } : caught).toMatchObject({ code, facts })
  expect(stateText(chain.replica)).toBe(before)
  expect({ head: chain.replica.head, chainTime: chain.replica.chainTime }).toEqual({ head, chainTime })
}

export function errorOf(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  return 'nothing was thrown'
}

/** A chain where root manages, and ann may write below `box` and manage nothing. */
export function boxChain(): { chain: Forger; boss: ForgedSession; writer: ForgedSession; box: EntityWords } {
  const chain = forger()
  const boss = chain.session(root)
  const key = nameKey('box')
  const box = creates(
    chain,
    boss,
    create({
      collection: 'boxes',
      type: 'box',
      key,
      rare: { identities: [ann.identity.keys, bob.identity.keys], policy: { write: [root.id, ann.id] } },
      body: chain.body(),
    }),
  )
  return { chain, boss, writer: chain.session(ann), box }
}
