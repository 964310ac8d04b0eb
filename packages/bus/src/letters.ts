/** Events that failed for good: set aside with their error, listed, and delivered once more when somebody asks. */
import { AteError, type Chain, type Entity, type EntityId, isAteError, type Transaction } from '@ate/core'
import { IN, LetterType, readable, type StoredLetter, SubscriptionType } from './bus-records.ts'
import { type Position, type RetryOptions, retryIn } from './bus-rules.ts'
import { type BusContext, NO_HEADERS, openEvent } from './context.ts'
import { Delivery } from './delivery.ts'
import { describe } from './describe.ts'
import { busError } from './errors.ts'
import type { AnyDelivery, AnyEvent } from './event-types.ts'
import { readPlaces, type StoredPlace } from './log-reader.ts'
import { type CursorPlace, type Hold, writeCursor } from './subscription-cursor.ts'

/** Letters of one transaction: a few kB each at the most. */
const LETTERS_A_STEP = 100
const ANY = ['>']

/** The event at a position; undefined if retention has dropped it. */
async function placeAt(context: BusContext, position: Position): Promise<StoredPlace | undefined> {
  for await (const place of readPlaces(context, { after: position - 1, pattern: ANY, until: 'end' }))
    return place.position === position ? place : undefined
  return undefined
}

/** What is no letter is left where it is: it keeps nobody from the others. */
async function* lettersOf(
  chain: Chain,
  subscription: EntityId,
  collection: string,
): AsyncGenerator<Entity<StoredLetter>, void, void> {
  for (const id of chain.children(LetterType, subscription, collection).ids()) {
    const letter = await readable(chain.get(LetterType, id))
    if (letter) yield letter
  }
}

async function pageOf(
  chain: Chain,
  subscription: EntityId,
  collection: string,
  limit: number,
): Promise<Entity<StoredLetter>[]> {
  const page: Entity<StoredLetter>[] = []
  for await (const letter of lettersOf(chain, subscription, collection)) if (page.push(letter) === limit) break
  return page
}

/** In the order in which they were set aside. One that cannot be opened has its data undefined. */
export async function* deadLetters(
  context: BusContext,
  subscription: EntityId,
): AsyncGenerator<AnyEvent & { readonly error: string; readonly attempts: number }, void, void> {
  for await (const { value } of lettersOf(context.chain, subscription, IN.dead)) {
    const place = await placeAt(context, value.at)
    if (!place) continue
    const event = await Promise.resolve(place)
      .then((found) => openEvent(context, found))
      .catch(() => unopened(context, place))
    yield { ...event, error: value.error, attempts: value.tries }
  }
}

function unopened({ chain, source }: BusContext, { topic, event }: StoredPlace): AnyEvent {
  const cursor = { chain: chain.id, seq: event.seq, index: event.index }
  return { topic, data: undefined, id: event.entity, source, time: new Date(event.at), headers: NO_HEADERS, cursor }
}

/** Moves what was set aside to what is to be delivered again, and lets a halted subscription go on. The number of letters. */
export async function redriveLetters(chain: Chain, subscription: EntityId, limit: number): Promise<number> {
  await chain.transact((tx) =>
    tx.update(SubscriptionType, subscription, ({ halted, ...value }) => (halted ? { ...value, tries: [] } : value)),
  )
  let moved = 0
  while (moved < limit) {
    const page = await pageOf(chain, subscription, IN.dead, Math.min(LETTERS_A_STEP, limit - moved))
    if (page.length === 0) break
    moved += await chain.transact(async (tx) => {
      let count = 0
      for (const letter of page) {
        // Somebody else may redrive as well.
        if (!(await tx.get(LetterType, letter))) continue
        tx.delete(letter)
        tx.create(LetterType, letter.value, { parent: subscription, in: IN.again })
        count++
      }
      return count
    })
  }
  return moved
}

export interface RedeliverParts {
  readonly context: BusContext
  readonly place: CursorPlace
  readonly hold: Hold
  readonly handler: (delivery: AnyDelivery) => unknown
  readonly retry: RetryOptions
  readonly leaseMs: number
  readonly timeoutMs: number | undefined
  /** Nothing more is begun. */
  readonly stopping: AbortSignal
  /** The handler that runs is not waited for any more. */
  readonly signal: AbortSignal
}

/** Delivers what waits to be delivered again, one after the other. @throws AteError LEASE_LOST and what a commit throws */
export async function redeliver(parts: RedeliverParts): Promise<void> {
  const { chain } = parts.context
  for (;;) {
    const letters = await pageOf(chain, parts.place.id, IN.again, LETTERS_A_STEP)
    if (letters.length === 0) return
    for (const letter of letters) {
      if (parts.stopping.aborted) return
      await redeliverOne(parts, letter)
    }
  }
}

async function redeliverOne(parts: RedeliverParts, letter: Entity<StoredLetter>): Promise<void> {
  const { context, signal, stopping } = parts
  const { environment } = context
  const place = await placeAt(context, letter.value.at)
  if (!place) {
    await settle(parts, letter, undefined)
    return
  }
  for (let tries = 1; ; tries++) {
    const error = await deliverOnce(parts, letter, place, tries)
    if (error === undefined || signal.aborted) return
    const wait = retryIn(parts.retry, { tries, random: environment.random(), now: context.now })
    if (wait === undefined) {
      await settle(parts, letter, { ...letter.value, error: describe(error.reason), tries: letter.value.tries + tries })
      return
    }
    await new Promise<void>((resolve) => {
      const cancel = environment.timer(wait, resolve)
      const goOn = (): void => {
        cancel()
        resolve()
      }
      if (stopping.aborted) goOn()
      else stopping.addEventListener('abort', goOn, { once: true })
    })
    if (stopping.aborted) return
  }
}

/** What went wrong in the handler or in its effects; nothing if it is committed. */
async function deliverOnce(
  parts: RedeliverParts,
  letter: Entity<StoredLetter>,
  place: StoredPlace,
  tries: number,
): Promise<{ readonly reason: unknown } | undefined> {
  const { context, hold, signal } = parts
  let delivery: Delivery
  try {
    delivery = new Delivery(await openEvent(context, place), { attempt: letter.value.tries + tries, fence: hold.fence })
    await handled(parts, delivery)
  } catch (reason) {
    return { reason }
  }
  if (signal.aborted) return undefined
  const effects = delivery.finish()
  try {
    await settle(parts, letter, undefined, async (tx) => {
      for (const effect of effects) await effect(tx)
    })
    return undefined
  } catch (reason) {
    if (effects.length === 0 || (isAteError(reason) && reason.code === 'LEASE_LOST')) throw reason
    return { reason }
  }
}

/** Resolves when the handler is through; rejects when its time is up, or nobody waits for it any more. */
async function handled(
  { context, place, handler, timeoutMs, signal }: RedeliverParts,
  delivery: Delivery,
): Promise<void> {
  let cancel: (() => void) | undefined
  let abort = (): void => undefined
  try {
    await new Promise<void>((resolve, reject) => {
      const end = (reason: AteError): void => {
        delivery.abort(reason)
        reject(reason)
      }
      abort = () => end(new AteError('LEASE_LOST', { subscription: place.name }))
      signal.addEventListener('abort', abort, { once: true })
      if (timeoutMs !== undefined)
        cancel = context.environment.timer(timeoutMs, () =>
          end(busError('HANDLER_TIMEOUT', { subscription: place.name, ms: timeoutMs })),
        )
      Promise.resolve(handler(delivery)).then(() => resolve(), reject)
    })
  } finally {
    cancel?.()
    signal.removeEventListener('abort', abort)
  }
}

/** The letter is gone; set aside again, if it failed again. */
async function settle(
  { context, place, hold, leaseMs }: RedeliverParts,
  letter: Entity<StoredLetter>,
  again: StoredLetter | undefined,
  effects?: (tx: Transaction) => Promise<void>,
): Promise<void> {
  const { chain } = context
  await chain.transact(async (tx) => {
    await writeCursor(tx, place, hold, (value) => ({ ...value, until: context.now + leaseMs }))
    tx.delete(letter)
    if (again) tx.create(LetterType, again, { parent: place.id, in: IN.dead })
    await effects?.(tx)
  })
}
