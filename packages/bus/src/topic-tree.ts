/**
 * Nodes of topics. A topic is a path of named entities below the bus, one a token, so that a policy on a node holds for
 * everything below it, and a pattern is a set of nodes: that is what a server without keys filters by.
 */
import {
  type Chain,
  type EntityId,
  type EntityType,
  isAteError,
  type PlaceOptions,
  type PolicyInput,
  type Transaction,
} from '@ate/core'
import { BusType, IN, TopicType } from './bus-records.ts'
import { parseTopic } from './bus-rules.ts'

/** Topics that are remembered with their nodes: one that is not is looked up again. */
const TOPICS_REMEMBERED_MAX = 65_536

export class TopicTree {
  readonly #chain: Chain
  readonly #name: string
  readonly #access: PolicyInput
  #bus: EntityId | undefined
  #making: Promise<EntityId> | undefined
  readonly #nodes = new Map<string, EntityId>()
  readonly #opening = new Map<string, Promise<EntityId>>()
  readonly #topics = new Map<EntityId, string>()

  constructor(chain: Chain, name: string, access: PolicyInput) {
    this.#chain = chain
    this.#access = access
    this.#name = name
  }

  /** The bus itself, or undefined if nobody has used it yet. */
  async findBus(): Promise<EntityId | undefined> {
    this.#bus ??= await this.#findNamed(BusType, this.#name, { in: IN.buses })
    return this.#bus
  }

  /**
   * As findBus, for who is told what is on it: where it may be one that this session cannot read, nobody is told that there is
   * none. @throws AteError NO_READ_KEY | LOCKED
   */
  async busToRead(): Promise<EntityId | undefined> {
    const bus = await this.findBus()
    if (bus === undefined)
      for (const id of this.#chain.children(BusType, undefined, IN.buses).ids()) await this.#chain.get(BusType, id)
    return bus
  }

  /** The bus itself, made if it is not there. */
  bus(): EntityId | Promise<EntityId> {
    if (this.#bus !== undefined) return this.#bus
    this.#making ??= this.#makeBus().finally(() => {
      this.#making = undefined
    })
    return this.#making
  }

  async #makeBus(): Promise<EntityId> {
    this.#bus = (await this.findBus()) ?? (await this.#chain.transact((tx) => this.#stageBus(tx)))
    return this.#bus
  }

  /** The node of a topic, made if it is not there. At once, if it is known. */
  node(topic: string): EntityId | Promise<EntityId> {
    const known = this.#nodes.get(topic)
    if (known !== undefined) return known
    let opening = this.#opening.get(topic)
    if (!opening) {
      opening = this.#openNode(topic).finally(() => this.#opening.delete(topic))
      this.#opening.set(topic, opening)
    }
    return opening
  }

  async #openNode(topic: string): Promise<EntityId> {
    const known = await this.#find(topic)
    if (known !== undefined) return known
    const node = await this.#chain.transact((tx) => this.#stagePath(tx, topic))
    this.#remember(topic, node)
    return node
  }

  /** The same inside of a transaction: what is made is part of it, and is believed once it is acknowledged. */
  stageNode(tx: Transaction, topic: string): EntityId | Promise<EntityId> {
    return this.#nodes.get(topic) ?? this.#findOrStage(tx, topic)
  }

  async #findOrStage(tx: Transaction, topic: string): Promise<EntityId> {
    return (await this.#find(topic)) ?? this.#stagePath(tx, topic)
  }

  /** The node as it is acknowledged; undefined if there is none yet. */
  async #find(topic: string): Promise<EntityId | undefined> {
    let node = await this.findBus()
    for (const token of parseTopic(topic)) {
      if (node === undefined) return undefined
      node = await this.#findNamed(TopicType, token, { parent: node, in: IN.topics })
    }
    if (node !== undefined) this.#remember(topic, node)
    return node
  }

  /**
   * Names are blinded for the readers of what is above. Who may read the bus or a topic, and nothing above it, finds it by
   * looking at what it can read there.
   */
  async #findNamed<T>(type: EntityType<T>, name: string, place: PlaceOptions): Promise<EntityId | undefined> {
    try {
      return (await this.#chain.named(type, name, place))?.id
    } catch (error) {
      if (!isUnread(error)) throw error
    }
    for (const id of this.#chain.children(type, place.parent, place.in).ids()) {
      const found = await this.#chain.get(type, id).catch((error) => {
        if (!isUnread(error)) throw error
      })
      if (found?.name === name) return found.id
    }
    return undefined
  }

  async #stagePath(tx: Transaction, topic: string): Promise<EntityId> {
    let node = this.#bus ?? (await this.#stageBus(tx))
    let path = ''
    for (const token of parseTopic(topic)) {
      path = path === '' ? token : `${path}.${token}`
      const place = { parent: node, in: IN.topics }
      const known = await tx.named(TopicType, token, place)
      node = (known ?? tx.create(TopicType, { bus: this.#name, topic: path }, { ...place, name: token })).id
    }
    return node
  }

  async #stageBus(tx: Transaction): Promise<EntityId> {
    const known = await tx.named(BusType, this.#name, { in: IN.buses })
    return (known ?? tx.create(BusType, { dropped: -1 }, { in: IN.buses, name: this.#name, ...this.#access })).id
  }

  /** The topic of a node of this bus; undefined for nodes of others, and those whose name this session cannot read. */
  topicOf(node: EntityId): string | undefined | Promise<string | undefined> {
    return this.#topics.get(node) ?? this.#readTopic(node)
  }

  async #readTopic(node: EntityId): Promise<string | undefined> {
    try {
      const found = await this.#chain.get(TopicType, node)
      if (found?.value.bus !== this.#name || !(await this.#isAt(node, found.value.topic, found.name))) return undefined
      this.#remember(found.value.topic, node)
      return found.value.topic
    } catch (error) {
      if (isUnread(error)) return undefined
      throw error
    }
  }

  /**
   * Whether a node stands where its topic does: as deep below the bus, under its last token, below the topic that is its beginning.
   * Anybody makes such a node in a place of his own, and could publish under the name of a topic that is not his.
   */
  async #isAt(node: EntityId, topic: string, name: string | undefined): Promise<boolean> {
    const tokens = topic.split('.')
    const parent = this.#chain.parentOf(node)
    let above = parent
    for (let depth = tokens.length - 1; depth > 0 && above !== undefined; depth--) above = this.#chain.parentOf(above)
    if (tokens.at(-1) !== name || parent === undefined || above === undefined || !(await this.#isBus(above)))
      return false
    if (tokens.length === 1) return true
    const beginning = tokens.slice(0, -1).join('.')
    if (this.#topics.get(parent) === beginning) return true
    try {
      await this.#chain.get(TopicType, parent)
    } catch (error) {
      // Who reads this topic, and nothing above it, has its place alone to go by.
      if (isAteError(error) && LOCKED.has(error.code)) return true
      throw error
    }
    return (await this.topicOf(parent)) === beginning
  }

  /** Who reads a topic, and not the bus, knows no more of that than where it stands. */
  async #isBus(id: EntityId): Promise<boolean> {
    const bus = await this.findBus()
    if (bus !== undefined) return id === bus
    return this.#chain.children(BusType, undefined, IN.buses).ids().includes(id)
  }

  /** All topics that have a node, with it, the parents first. */
  async *topics(): AsyncGenerator<{ readonly topic: string; readonly node: EntityId }, void, void> {
    const bus = await this.busToRead()
    if (bus !== undefined) yield* this.#below(bus)
  }

  async *#below(parent: EntityId): AsyncGenerator<{ readonly topic: string; readonly node: EntityId }, void, void> {
    for (const id of this.#chain.children(TopicType, parent, IN.topics).ids()) {
      const topic = await this.topicOf(id as EntityId)
      if (topic === undefined) continue
      yield { topic, node: id as EntityId }
      yield* this.#below(id as EntityId)
    }
  }

  #remember(topic: string, node: EntityId): void {
    if (this.#nodes.size >= TOPICS_REMEMBERED_MAX) {
      this.#nodes.clear()
      this.#topics.clear()
    }
    this.#nodes.set(topic, node)
    this.#topics.set(node, topic)
  }
}

const LOCKED: ReadonlySet<string> = new Set(['NO_READ_KEY', 'LOCKED'])

/** What this session cannot read, and what is no topic. */
function isUnread(error: unknown): boolean {
  return isAteError(error) && (LOCKED.has(error.code) || error.code === 'WRONG_TYPE' || error.code === 'BAD_VALUE')
}
