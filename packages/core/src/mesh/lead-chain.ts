/**
 * The leader of those who share a chain: orders what they submit, as a server does, but under its own identity, which the
 * chain knows. It takes their sockets at once, and answers when the log is read. The log is the only thing that outlives it.
 */
import { toBinaryText } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { chainIdOf } from '../base/ids.ts'
import type { Leadership } from '../base/sharing.ts'
import type { Socket } from '../base/socket.ts'
import { KeptKeys } from '../chain/kept-keys.ts'
import type { Replica } from '../chain/replica.ts'
import type { CompactPolicy } from '../data/compact-policy.ts'
import type { LogEngine } from '../log/engine.ts'
import type { Identity } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import type { StateStore } from '../session/state-store.ts'
import { Dates, dateBytes, dateIn, type KeptDate } from './dates.ts'
import { type Asking, assertMayFollow, type Hosting, TO_BE_KNOWN } from './host.ts'
import { HostConnection } from './host-connection.ts'
import { HostedChain } from './hosted-chain.ts'
import { ServerKeys } from './server-keys.ts'

export interface LeadParts {
  readonly platform: Platform
  /** Under whose name records are ordered. */
  readonly identity: Identity
  /** Of which this process is the writer; closed with the leadership. */
  readonly engine: LogEngine
  readonly load: () => Promise<Replica>
  readonly compact: CompactPolicy | undefined
  /** It cannot go on: the log could not be read, has failed, or is no longer this identity's to order. */
  readonly ended: (error: AteError) => void
}

export function leadChain(parts: LeadParts): Leadership {
  return new Leader(parts)
}

class Leader implements Leadership, Hosting {
  readonly parts: Hosting['parts']
  readonly #lead: LeadParts
  readonly #keys: ServerKeys
  /** With the time of their beginning. */
  readonly #connections = new Map<HostConnection, number>()
  readonly #hosted: Promise<HostedChain>
  readonly #renewing: { cancel(): void }
  #dates: Dates | undefined
  #ended = false

  constructor(lead: LeadParts) {
    const { platform, identity } = lead
    this.#lead = lead
    const { clock } = platform.environment
    // It says who it is before it has read the log, and with it what it has dated.
    this.#keys = new ServerKeys(platform, identity, () => this.#dates?.begin() ?? clock.now())
    this.parts = { platform, identity, delegation: () => this.#keys.delegation() }
    this.#hosted = this.#open()
    this.#hosted.catch((error) => this.#end(error))
    this.#renewing = this.#keys.renewLater(this.#connections)
  }

  readonly accept = (socket: Socket): void => {
    if (this.#ended) {
      socket.terminate()
      return
    }
    const connection: HostConnection = new HostConnection({
      host: this,
      socket,
      path: '',
      level: this.#lead.engine.durability,
      rules: {
        // Who can open the folder can read the socket's memory as well: sealing it would keep nothing from anybody.
        handshake: { limits: {}, plain: 'allow' },
        closed: () => void this.#connections.delete(connection),
      },
    })
    this.#connections.set(connection, this.#lead.platform.environment.clock.now())
  }

  readonly close = async (): Promise<void> => {
    this.#ended = true
    this.#renewing.cancel()
    const hosted = await this.#hosted.catch(() => undefined)
    // What was submitted is stored and answered before the connections go.
    await hosted?.sequencer.settled()
    for (const connection of [...this.#connections.keys()]) connection.close()
    await hosted?.close()
    await this.#dates?.close()
    await this.#lead.engine.close()
  }

  async acquire(_name: string, asking: Asking): Promise<HostedChain> {
    const hosted = await this.#hosted.catch(() => undefined)
    if (this.#ended || !hosted) throw new AteError('OFFLINE', { what: 'the leader leaves' })
    assertMayFollow(hosted, asking.identity)
    return hosted
  }

  release(): void {}

  async forget(): Promise<void> {}

  async #open(): Promise<HostedChain> {
    const { platform, identity, engine, load, compact } = this.#lead
    const replica = await load()
    assertMayOrder(replica, identity)
    const { fingerprintBytes: fingerprint } = identity
    const { environment } = platform
    const dates = await datesOf(platform, `leading/${chainIdOf(replica.chainId)}-${identity.fingerprint}`)
    this.#dates = dates
    const hosted = new HostedChain({
      name: '',
      engine,
      replica,
      keys: await KeptKeys.open(engine.ring, replica.view),
      environment,
      dates,
      fingerprint,
      signer: this.#keys.signer,
      checkpointSigner: this.#keys.checkpointSigner,
      compact,
    })
    hosted.sequencer.failures.add((error) => this.#end(error))
    return hosted
  }

  /** Those who are connected find another leader. */
  #end(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    for (const connection of [...this.#connections.keys()]) connection.close()
    this.#lead.ended(isAteError(error) ? error : new AteError('INTERNAL', { what: 'lead' }, { cause: error }))
  }
}

/** @throws AteError NOT_AUTHORIZED */
function assertMayOrder(replica: Replica, { fingerprint, fingerprintBytes }: Identity): void {
  if (replica.maySequence(toBinaryText(fingerprintBytes), undefined)) return
  throw new AteError('NOT_AUTHORIZED', {
    needs:
      replica.trust.sequencers === 'writers'
        ? `${TO_BE_KNOWN}, to order what others write`
        : 'to be the server that the chain names',
    identity: fingerprint,
  })
}

async function datesOf(platform: Platform, name: string): Promise<Dates> {
  const { environment, state } = platform
  const dates = new Dates(environment, keptDate(state, name), (error) => platform.warn(error))
  try {
    await dates.start()
    return dates
  } catch (error) {
    // Who has no state writes nevertheless.
    if (!isAteError(error) || error.code !== 'STATE_UNWRITABLE') throw error
    return new Dates(environment)
  }
}

/** In this machine's state: the folder of a chain is for its records. */
function keptDate(state: StateStore, name: string): KeptDate {
  return {
    async read() {
      const bytes = await state.get(name)
      return bytes && dateIn(bytes, { location: state.location, name })
    },
    keep: (bound) => state.put(name, dateBytes(bound)),
  }
}
