/** Publishing: what is checked, where the event is put, and what is known once it is there. */
import { isAteError, isEffects, type OptionNames, stageIn, type Transaction, type TxTarget } from '@ate/core'
import { EventType, IN, type StoredEvent } from './bus-records.ts'
import { checkEntityName, checkHeaders, checkText, parseTopic } from './bus-rules.ts'
import { type BusContext, schemaOf, validated } from './context.ts'
import type { Cursor } from './event-types.ts'

export interface PublishOptions {
  /**
   * Makes the event part of a transaction: a core transaction, or the `tx` of a job or a delivery. It is there when that
   * commits, or not at all.
   */
  readonly tx?: TxTarget
  /** What the event is about: subscriptions can keep the order of a key. */
  readonly key?: string
  /** Names the event in its topic: a second one of this id is not stored, as long as the first is kept. */
  readonly id?: string
  readonly headers?: Readonly<Record<string, string>>
}

export const PUBLISH_NAMES: OptionNames<PublishOptions> = { tx: true, key: true, id: true, headers: true }

export interface Published {
  /** The id that was given, else one of the chain; empty if the event is an effect that has not run yet. */
  readonly id: string
  /** The record that holds it; undefined until that is known, and of ephemeral topics. */
  readonly cursor?: Cursor
}

export interface Outgoing {
  readonly topic: string
  readonly stored: StoredEvent
}

/** Checked, and as its schema gives it. @throws AteError BAD_TOPIC | UNKNOWN_TOPIC | BAD_VALUE | BAD_ARGUMENT */
export function outgoing(
  context: BusContext,
  topic: string,
  data: unknown,
  options: PublishOptions & { readonly until?: number },
): Outgoing | Promise<Outgoing> {
  const { key, id, headers, until } = options
  const schema = schemaOf(context, topic)
  if (schema === undefined) parseTopic(topic)
  if (key !== undefined) checkText(key, 'a key')
  if (id !== undefined) checkEntityName(id, 'an id')
  if (headers !== undefined) checkHeaders(headers)
  const made = (d: unknown): Outgoing => {
    const stored: { -readonly [K in keyof StoredEvent]: StoredEvent[K] } = { d }
    if (key !== undefined) stored.k = key
    if (id !== undefined) stored.i = id
    if (headers !== undefined) stored.h = headers
    if (until !== undefined) stored.u = until
    return { topic, stored }
  }
  const valid = schema === undefined ? data : validated(schema, topic, data)
  return valid instanceof Promise ? valid.then(made) : made(valid)
}

/** In a transaction of its own. */
export async function publishNow(context: BusContext, { topic, stored }: Outgoing): Promise<Published> {
  const { chain, tree, creations } = context
  const known = tree.node(topic)
  const node = typeof known === 'string' ? known : await known
  const place = { parent: node, in: IN.events }
  const { i: id } = stored
  if (id === undefined) {
    const made = await creations.create(EventType, stored, place)
    return { id: made.id, cursor: { chain: chain.id, seq: made.seq } }
  }
  try {
    // In the order of the calls.
    await creations.staged
    const tx = await chain.transact((tx) => {
      tx.create(EventType, stored, { ...place, name: id })
      return tx
    })
    return { id, cursor: cursorOf(chain.id, tx) }
  } catch (error) {
    if (!isAteError(error) || error.code !== 'NAME_TAKEN') throw error
    // Somebody else's is on its way or there: this resolves when it is acknowledged.
    await chain.transact((tx) => stageEvent(context, tx, { topic, stored }))
    return { id }
  }
}

function cursorOf(chain: string, tx: Transaction): Cursor {
  return { chain, seq: tx.receipt!.seq }
}

/** As part of a transaction, now or when it runs. */
export async function publishWith(context: BusContext, tx: TxTarget, event: Outgoing): Promise<Published> {
  // Outside of the transaction to come: what is made twice there is made twice for each event.
  if (isEffects(tx)) await context.tree.node(event.topic)
  const id = await stageIn(tx, (target) => stageEvent(context, target, event), context.chain)
  return { id: id ?? event.stored.i ?? '' }
}

/** Its id; of a known one nothing is written. */
async function stageEvent(context: BusContext, tx: Transaction, { topic, stored }: Outgoing): Promise<string> {
  const known = context.tree.stageNode(tx, topic)
  const node = typeof known === 'string' ? known : await known
  const place = { parent: node, in: IN.events }
  const { i: id } = stored
  if (id === undefined) return tx.create(EventType, stored, place).id
  if (!(await tx.named(EventType, id, place))) tx.create(EventType, stored, { ...place, name: id })
  return id
}
