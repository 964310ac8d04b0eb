/**
 * A server's part in a ring: which chains are its own, fetching those that stand elsewhere still, and giving away those that
 * belong to another one. A server keeps serving what it has until it was taken.
 *
 * A chain is made by its owner alone, once every other server has said that it has none of that name: a chain that stays
 * behind is never begun anew beside itself.
 */
import { AteError, isAteError } from '../base/errors.ts'
import { RING_OFFER_MAX_MS, RING_OFFER_MS } from '../base/limits.ts'
import { emptyRing } from '../chain/kept-keys.ts'
import { parsePlace } from '../data/place.ts'
import { openTarget } from '../data/target-place.ts'
import type { LogEngine } from '../log/engine.ts'
import { type ChainName, parseChainName } from '../mesh/chain-name.ts'
import { ownerOf } from '../mesh/ring.ts'
import type { ServeSettings } from '../mesh/serve-options.ts'
import { connectSibling, type Sibling, takeChain } from '../mesh/take-chain.ts'
import type { Platform } from '../session/platform.ts'
import type { ServerFolder } from './server-folder.ts'

export interface ServedRingParts {
  readonly platform: Platform
  readonly folder: ServerFolder
  readonly ring: NonNullable<ServeSettings['ring']>
  /** Whether the chain is open here, and so is here. */
  readonly isOpen: (name: string) => boolean
  /** It has come from another server. */
  readonly adopted: (name: ChainName) => Promise<void>
  /** Another server answers, and will not do: with the chain that it was asked for, if there is one. */
  readonly failed: (chain: ChainName | undefined, error: AteError) => void
}

export class ServedRing {
  readonly #parts: ServedRingParts
  readonly #closing = new AbortController()
  /** One for each name: whoever asks meanwhile waits for the same. */
  readonly #adopting = new Map<string, Promise<void>>()
  /** Chains that were moved from here, and whose keys are gone. */
  readonly #emptied = new Set<ChainName>()
  /** Those whose folders are open, and so locked, for that. */
  readonly #emptying = new Map<ChainName, Promise<boolean>>()
  #offering: Promise<void> | undefined
  #timer: { cancel(): void } | undefined
  #greeting: Promise<unknown> | undefined

  constructor(parts: ServedRingParts) {
    this.#parts = parts
  }

  ownerOf(name: string): string {
    const { platform, ring } = this.#parts
    return ownerOf(platform.crypto, ring.nodes, name)
  }

  /** The server that may take a chain from this one. */
  takerOf(name: string): string | undefined {
    const owner = this.ownerOf(name)
    return owner === this.#parts.ring.self ? undefined : owner
  }

  /** As ConnectionRules has it. @throws AteError CHAIN_ELSEWHERE | CHAIN_NOT_FOUND | BAD_CHAIN_NAME | OFFLINE | CHAIN_GONE */
  async place(text: string, who: 'client' | 'sibling'): Promise<void> {
    const { folder, isOpen } = this.#parts
    const name = parseChainName(text)
    if (isOpen(name)) return
    const taker = this.takerOf(name)
    if (taker !== undefined) {
      if (!(await folder.hasChain(name))) throw elsewhere(taker, 'ring')
      return
    }
    // Two servers that ask each other would wait for ever.
    if (who === 'sibling') return
    let adopting = this.#adopting.get(name)
    if (!adopting) {
      adopting = this.#adopt(name).finally(() => this.#adopting.delete(name))
      this.#adopting.set(name, adopting)
    }
    await adopting
  }

  /** Offers what belongs elsewhere, now and until nothing is left. */
  start(delayMs: number = RING_OFFER_MS): void {
    if (this.#closing.signal.aborted) return
    const { platform } = this.#parts
    this.#greeting ??= this.#greet().catch((error) => platform.warn(error))
    const again = (left: number): void => {
      if (left === 0 || this.#closing.signal.aborted) return
      this.#timer = platform.environment.timers.start(delayMs, () => {
        this.start(Math.min(2 * delayMs, RING_OFFER_MAX_MS))
      })
    }
    this.#offering = this.#offerAll().then(again, (error) => {
      // Nobody waits for it before the server is closed: whoever runs it is told, and what is left is offered again.
      platform.warn(error)
      again(1)
    })
  }

  async close(): Promise<void> {
    this.#closing.abort(new AteError('OFFLINE', { what: 'the server is closing' }))
    this.#timer?.cancel()
    await this.#offering
    await this.#greeting
    await Promise.allSettled(this.#adopting.values())
  }

  /** A server that is none of this ring shows before a chain has to go there: each that starts asks those that are there. */
  #greet(): Promise<unknown> {
    const { nodes, self } = this.#parts.ring
    return Promise.all(
      nodes.map(async (node) => {
        if (node === self) return
        try {
          const connection = await connectSibling(this.#sibling(node))
          connection.close()
        } catch (error) {
          this.#told(undefined, error)
        }
      }),
    )
  }

  /** One that is silent may be about to start. @throws what is no AteError */
  #told(chain: ChainName | undefined, error: unknown): void {
    if (!isAteError(error)) throw error
    if (!this.#closing.signal.aborted && !SILENT.has(error.code)) this.#parts.failed(chain, error)
  }

  /** The chains that are here and belong elsewhere, each offered to its owner; how many have not gone. */
  async #offerAll(): Promise<number> {
    const { folder } = this.#parts
    const byOwner = new Map<string, ChainName[]>()
    let left = 0
    for (const name of await folder.chains()) {
      const taker = this.takerOf(name)
      if (taker === undefined || !(await folder.hasChain(name))) continue
      const standing = await this.#standing(name)
      if (standing === 'moved' && !(await this.#emptyRing(name))) left++
      if (standing !== 'live') continue
      byOwner.set(taker, [...(byOwner.get(taker) ?? []), name])
    }
    for (const [owner, names] of byOwner) left += await this.#offer(owner, names)
    return left
  }

  async #offer(owner: string, names: readonly ChainName[]): Promise<number> {
    let left = names.length
    try {
      const sibling = this.#sibling(owner)
      const connection = await connectSibling(sibling)
      const stop = (): void => connection.close()
      this.#closing.signal.addEventListener('abort', stop)
      try {
        for (const name of names) {
          await connection.offer(sibling.identity, name)
          left--
        }
      } finally {
        this.#closing.signal.removeEventListener('abort', stop)
        connection.close()
      }
    } catch (error) {
      // It is offered again; until then it is served here.
      this.#told(names[names.length - left], error)
    }
    return left
  }

  async #adopt(name: ChainName): Promise<void> {
    const { folder, ring } = this.#parts
    const standing = (await folder.hasChain(name)) ? await this.#standing(name) : undefined
    if (standing !== undefined && standing !== 'copy' && standing !== 'incomplete') return
    let silent: string | undefined
    for (const node of ring.nodes) {
      if (node === ring.self) continue
      try {
        const found = await this.#ask(node, name)
        if (found === 'absent') continue
        if (found !== 'taken') {
          if (found.to !== ring.self) throw elsewhere(found.to, 'moved')
          await this.#finish(name, node)
        }
        // Nobody may ask for it, and it is here all the same.
        await this.#parts.adopted(name)
        return
      } catch (error) {
        if (!isAteError(error) || !SILENT.has(error.code)) {
          if (!isAteError(error) || error.code !== 'CHAIN_ELSEWHERE') this.#told(name, error)
          throw error
        }
        silent = node
      }
    }
    if (silent === undefined) return
    throw new AteError('OFFLINE', {
      what: 'a server of the ring does not answer, and may have this chain',
      node: silent,
    })
  }

  async #ask(node: string, name: ChainName): ReturnType<typeof takeChain> {
    const { folder, platform } = this.#parts
    const open = (): Promise<LogEngine> => openTarget(this.#placeOf(name), { resume: 'copy', leftovers: [] }, platform)
    const held = (await folder.hasChain(name)) ? await open() : undefined
    try {
      return await takeChain(this.#sibling(node), name, { held, open })
    } finally {
      await held?.close()
    }
  }

  /** The other one has given it away, and this one was stopped before it wrote so down. */
  async #finish(name: ChainName, from: string): Promise<void> {
    const { folder, platform } = this.#parts
    if (!(await folder.hasChain(name)))
      throw new AteError('CHAIN_GONE', { place: name, from, what: 'it was moved here, and is not' })
    const place = parsePlace(this.#placeOf(name), { standings: ['copy'] }, platform)
    const engine = await place.open({ create: false, label: undefined })
    try {
      await engine.setStanding({ state: 'live', note: '' })
    } finally {
      await engine.close()
    }
  }

  /**
   * What was moved has its keys where it is now: an interruption may have left them here, too. False while it is open here: who has
   * just given it away closes it, and a client that asks for it is told where it went.
   */
  async #emptyRing(name: ChainName): Promise<boolean> {
    if (this.#emptied.has(name)) return true
    const emptying = this.#emptyNow(name).finally(() => this.#emptying.delete(name))
    this.#emptying.set(name, emptying)
    return emptying
  }

  /** Settles once the folder of a moved chain is free again; undefined if it is not being looked through. Never rejects. */
  whileEmptying(name: ChainName): Promise<unknown> | undefined {
    return this.#emptying.get(name)?.catch(() => undefined)
  }

  async #emptyNow(name: ChainName): Promise<boolean> {
    const place = parsePlace(this.#placeOf(name), { standings: ['moved'] }, this.#parts.platform)
    const engine = await place.open({ create: false, label: undefined }).catch((error: unknown) => {
      if (isAteError(error) && error.code === 'CHAIN_LOCKED') return undefined
      throw error
    })
    if (!engine) return false
    try {
      await emptyRing(engine.ring)
      this.#emptied.add(name)
      return true
    } finally {
      await engine.close()
    }
  }

  async #standing(name: ChainName): Promise<string> {
    const standings = ['live', 'copy', 'backup', 'moved', 'incomplete', 'destroyed'] as const
    const place = parsePlace(this.#placeOf(name), { readOnly: true, standings }, this.#parts.platform)
    const engine = await place.open({ create: false, label: undefined })
    try {
      return engine.standing.state
    } finally {
      await engine.close()
    }
  }

  #placeOf(name: ChainName): string {
    return `file:${this.#parts.folder.chainPath(name)}`
  }

  #sibling(url: string): Sibling {
    const { platform, folder, ring } = this.#parts
    return { platform, identity: folder.identity, url, ca: ring.ca, signal: this.#closing.signal }
  }
}

function elsewhere(url: string, why: 'ring' | 'moved'): AteError {
  return new AteError('CHAIN_ELSEWHERE', { url, why })
}

/** No answer, or none any more. */
const SILENT: ReadonlySet<string> = new Set(['OFFLINE', 'SERVER_UNREACHABLE', 'WIRE_BROKEN'])
