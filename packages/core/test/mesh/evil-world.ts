/** A chain at a server that can begin to cheat, in simulated time: what clients are told, and what is true afterwards. */
import { AteError, isAteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import { defineType, type EntityType } from '../../src/data/entity-type.ts'
import type { OpenOptions } from '../../src/data/open-chain.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { type Identity, markKept } from '../../src/session/identity.ts'
import type { Platform } from '../../src/session/platform.ts'
import { type Evil, evilListen } from './evil-kit.ts'
import { SimWorld, simPerson } from './sim-world.ts'

export const Note: EntityType<{ text: string }> = defineType<{ text: string }>('note')

/** What a client was told of one change. */
export interface Told {
  readonly mark: string
  readonly code: 'ok' | string
}

export class EvilWorld {
  readonly world: SimWorld
  readonly evil: Evil = { tamper: {}, lines: [] }
  /** Everything that was ever asked to be written: nothing else may be read. */
  readonly marks: Set<string> = new Set()
  readonly told: Told[] = []
  readonly me: Identity = markKept(simPerson('me'))
  readonly serverKey: Identity = simPerson('server')

  private constructor(seed: number) {
    this.world = new SimWorld(seed, { delayMs: [1, 3] })
  }

  static async start(seed: number): Promise<EvilWorld> {
    const made = new EvilWorld(seed)
    await made.restart()
    return made
  }

  /** On what its stores hold now. */
  async restart(): Promise<void> {
    const { world, evil } = this
    await world.startServer({ listen: evilListen(world.network.listen('server'), evil), plain: 'allow' })
  }

  /** The server's own machine: the wire that seals nothing is for loopback alone. */
  machine(): Platform {
    return this.world.machine('server')
  }

  open(name: string, options: OpenOptions = {}, platform: Platform = this.machine()): Promise<Chain> {
    const all = { as: this.me, serverKey: this.serverKey, wire: 'plain', ...options } as const
    return openChain(`ws://localhost:5000/db/${name}`, all, platform)
  }

  /** What becomes of it in simulated time: its value, or the code of an error of ours. Anything else fails the test. */
  async result<T>(promise: Promise<T>, maxMs = 600_000): Promise<T | string> {
    try {
      return await this.world.wait(promise, maxMs)
    } catch (error) {
      if (error instanceof AteError && error.code !== 'INTERNAL') return error.code
      throw error
    }
  }

  /** Writes a note; what the client is told is kept. Aborted after a minute: it is the caller who waits no longer. */
  write(chain: Chain, mark: string): Promise<string> {
    this.marks.add(mark)
    const aborting = new AbortController()
    const timer = this.world.time.timers.start(60_000, () => aborting.abort())
    return chain
      .transact((tx) => void tx.create(Note, { text: mark }), { signal: aborting.signal })
      .then(
        () => 'ok',
        (error) => {
          if (isAteError(error) && error.code !== 'INTERNAL') return error.code
          throw error
        },
      )
      .then((code) => {
        timer.cancel()
        this.told.push({ mark, code })
        return code
      })
  }

  /** The texts that a chain shows. */
  async texts(chain: Chain): Promise<string[]> {
    const texts: string[] = []
    for await (const note of chain.children(Note)) texts.push(note.value.text)
    return texts.sort()
  }

  /** The server is honest again: what a new client finds, held against what was told. */
  async settle(name: string, id: string): Promise<void> {
    this.evil.tamper = {}
    const chain = await this.world.wait(this.open(name, { id }))
    const texts = await this.world.wait(this.texts(chain))
    await this.world.wait(chain.close())
    this.check(texts)
  }

  /** Nothing false, nothing twice; what was acknowledged is there, and what was refused is not. */
  check(texts: readonly string[]): void {
    const wrong: string[] = []
    for (const text of texts) if (!this.marks.has(text)) wrong.push(`false: ${text}`)
    if (new Set(texts).size !== texts.length) wrong.push('twice')
    for (const { mark, code } of this.told) {
      if (code === 'ok' && !texts.includes(mark)) wrong.push(`acknowledged, and not there: ${mark}`)
      if (code !== 'ok' && code !== 'INDETERMINATE' && texts.includes(mark)) wrong.push(`${code}, and there: ${mark}`)
    }
    if (wrong.length > 0) throw new Error(wrong.join('; '))
  }
}
