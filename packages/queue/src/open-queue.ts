/** Opens a queue: finds its place in the chain, or makes it, and puts together what works on it. */
import { AteError, type Chain, type Duration, type EntityId, type StandardSchema, validated } from '@ate/core'
import { Adder, type Prepared } from './adding.ts'
import { Dispatcher } from './dispatcher.ts'
import { Endings } from './ending.ts'
import type { QueueEnvironment } from './environment.ts'
import { queueError } from './errors.ts'
import { Follower } from './follower.ts'
import { Lane } from './lane.ts'
import { messagingOf } from './observed.ts'
import { addsOptions, mergedOptions, type Rules, rulesOf } from './queue-options.ts'
import { IN, type JobValue, OptionsRecord, QueueRecord, type StoredOptions } from './queue-records.ts'
import type { AddOptions, QueueObservation, QueueOptions } from './queue-types.ts'
import { Repeats } from './repeats.ts'
import { upkeep } from './upkeep.ts'

export interface QueueSchemas<D> extends QueueOptions<D> {
  readonly data?: StandardSchema<unknown, D>
  readonly result?: StandardSchema
}

/** What a handle has once its queue is there. */
export interface OpenQueue<D> {
  readonly node: EntityId
  readonly adder: Adder
  readonly follower: Follower
  readonly lane: Lane
  readonly dispatcher: Dispatcher<D>
  readonly repeats: Repeats
}

export interface OpeningParts<D> {
  readonly chain: Chain
  readonly name: string
  readonly options: QueueSchemas<D>
  /** The options that are stored, as far as they were given. */
  readonly given: StoredOptions
  readonly environment: QueueEnvironment
  readonly prepare: (data: unknown, options: AddOptions) => Prepared
  readonly observe: (observation: QueueObservation) => void
}

export async function openQueue<D>(parts: OpeningParts<D>): Promise<OpenQueue<D>> {
  const { chain, name, options, environment, observe } = parts
  const { node, stored } = await ensureNode(parts)
  const backoff = backoffOf(options)
  let rulesNow = rulesOf(stored, backoff)
  const rules = (): Rules => rulesNow
  const follower = new Follower(chain, node, environment, {
    isCompleting: (id) => lane.held.get(id)?.isCompleting === true,
    job: (id, value) => jobChanged(lane, id, value),
    options: (changed) => {
      rulesNow = rulesOf(changed, backoff)
      // What waits does so by limits that may be no more.
      lane.opensAt = 0
      follower.table.reopen(rulesNow.groupActiveMax)
    },
    badJob: (id) => observe({ kind: 'bad value', ...messagingOf(name, 'bad value'), 'messaging.message.id': id }),
    news: () => dispatcher.news(),
  })
  const tell = (kind: 'lease.lost' | 'taken over', leases: number): void => {
    observe({ kind, ...messagingOf(name, kind), leases })
  }
  const lane = new Lane({
    chain,
    node,
    follower,
    environment,
    rules,
    onLost: (leases) => tell('lease.lost', leases),
    onTakenOver: (leases) => tell('taken over', leases),
  })
  const adder = new Adder(chain, node, (tx, jobs) => dispatcher.claimAdded(tx, jobs))
  const repeats = new Repeats({ chain, node, adder, prepare: parts.prepare })
  const { data, result } = options
  const parseResult = (value: unknown): unknown =>
    result ? validated(result, value, `result of queue ${name}`) : value
  const dispatcher = new Dispatcher<D>({
    chain,
    lane,
    follower,
    environment,
    rules,
    handling: {
      chain,
      lane,
      endings: new Endings(chain, environment),
      environment,
      rules,
      // What ends following ends with its own error.
      look: (job) => void follower.look(job).catch(() => undefined),
      queueKey: `${chain.id}/${name}`,
      parseResult,
    },
    parse: (value) => (data ? validated(data, value, `queue ${name}`) : (value as D)),
    upkeep: () => upkeep({ chain, node, follower, rules, repeats }),
  })
  return { node, adder, follower, lane, dispatcher, repeats }
}

function backoffOf({ retry }: Pick<QueueOptions, 'retry'>): ((attempt: number) => Duration) | undefined {
  return typeof retry?.backoff === 'function' ? retry.backoff : undefined
}

/** The queue's place in the chain, and its options as they are stored. @throws AteError QUEUE_MISMATCH */
async function ensureNode({ chain, name, given }: Pick<OpeningParts<unknown>, 'chain' | 'name' | 'given'>): Promise<{
  readonly node: EntityId
  readonly stored: StoredOptions
}> {
  const there = await chain.named(QueueRecord, name, { in: IN.queues })
  if (there) {
    const options = await chain.child(OptionsRecord, there, IN.options)
    const stored = options?.value ?? {}
    const merged = mergedOptions(name, stored, given)
    if (!addsOptions(stored, given)) return { node: there.id, stored: merged }
  }
  return chain.transact(async (tx) => {
    const node =
      (await tx.named(QueueRecord, name, { in: IN.queues })) ?? tx.create(QueueRecord, {}, { in: IN.queues, name })
    const stored = (await tx.child(OptionsRecord, node, IN.options))?.value
    const merged = mergedOptions(name, stored ?? {}, given)
    if (stored === undefined || addsOptions(stored, given))
      tx.putChild(OptionsRecord, merged, { parent: node, in: IN.options })
    return { node: node.id, stored: merged }
  })
}

/** A job that this handle works on was ended, or its lease was, by somebody else; or it is gone. */
function jobChanged(lane: Lane, id: string, value: JobValue | undefined): void {
  const held = lane.held.get(id)
  if (!held) return
  if (value === undefined) {
    // One that is done may be gone before whoever ended it hears that it is.
    if (!held.isCompleting) lane.lose(held, new AteError('LEASE_LOST', { job: id, fence: held.fence }))
  } else if (value.end === 'cancelled') lane.lose(held, queueError('JOB_CANCELLED', { job: id }))
  else if (value.end === undefined && (value.turn ?? 0) > held.turn)
    lane.lose(held, new AteError('LEASE_LOST', { job: id, fence: held.fence }))
}
