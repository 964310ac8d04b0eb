/**
 * How events of ephemeral topics travel: never through the log. The carrier within this process reaches every bus of the
 * same name over the same open chain; one over a connection fits behind the same interface.
 */
import type { Chain } from '@ate/core'
import type { AnyLiveEvent } from './event-types.ts'

export type EphemeralListener = (event: AnyLiveEvent) => void
export type EphemeralResponder = (event: AnyLiveEvent) => Promise<unknown>

export interface EphemeralCarrier {
  /** Hands the event to all who listen now. */
  send(event: AnyLiveEvent): void
  /** What is returned ends it. */
  listen(listener: EphemeralListener): () => void
  /** One of those who answer this topic, in turn; undefined if nobody does. */
  ask(event: AnyLiveEvent): Promise<unknown> | undefined
  answer(topic: string, responder: EphemeralResponder): () => void
}

const carriers = new WeakMap<Chain, Map<string, EphemeralCarrier>>()

/** The carrier within this process. */
export function localCarrier(chain: Chain, bus: string): EphemeralCarrier {
  let ofChain = carriers.get(chain)
  if (!ofChain) {
    ofChain = new Map()
    carriers.set(chain, ofChain)
  }
  let carrier = ofChain.get(bus)
  if (!carrier) {
    carrier = new LocalCarrier()
    ofChain.set(bus, carrier)
  }
  return carrier
}

class LocalCarrier implements EphemeralCarrier {
  readonly #listeners = new Set<EphemeralListener>()
  readonly #responders = new Map<string, EphemeralResponder[]>()

  send(event: AnyLiveEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  listen(listener: EphemeralListener): () => void {
    // Two subscriptions may share a function: each has its own entry.
    const own: EphemeralListener = (event) => listener(event)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  ask(event: AnyLiveEvent): Promise<unknown> | undefined {
    const responders = this.#responders.get(event.topic)
    const responder = responders?.shift()
    if (!responders || !responder) return undefined
    responders.push(responder)
    return responder(event)
  }

  answer(topic: string, responder: EphemeralResponder): () => void {
    const responders = this.#responders.get(topic) ?? []
    this.#responders.set(topic, responders)
    responders.push(responder)
    return () => {
      const at = responders.indexOf(responder)
      if (at >= 0) responders.splice(at, 1)
      if (responders.length === 0 && this.#responders.get(topic) === responders) this.#responders.delete(topic)
    }
  }
}
