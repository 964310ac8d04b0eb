/**
 * One connection to a server that several tabs of an origin speak through. The leader has it; another tab has numbers of it
 * (lent-numbers.ts) and a socket to the leader, which carries the messages as they stand in frames. Such a tab checks the
 * server's key, its delegation, and everything that it is sent, as if the connection were its own; only the handshake was the
 * leader's. All of them are pages of one origin, with one identity: who could deceive another could as well act for it.
 *
 * The first message of the leader: CBOR { version, first, level, path, exporter, keys, delegation, limits, follows, sessions },
 * or { version, code, facts } if it has no connection.
 */
import { unlessAborted } from '../base/deferred.ts'
import { AteError, type ErrorCode, type ErrorFacts, isAteError } from '../base/errors.ts'
import { CLOSE, type Socket } from '../base/socket.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import { parseDelegation } from '../event/acknowledgement.ts'
import type { Durability } from '../log/engine.ts'
import { publicIdentity } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import type { EstablishedServer } from '../session/tickets.ts'
import { ClientConnection } from './client-connection.ts'
import { connectionOver } from './connect.ts'
import type { Lease } from './connection-pool.ts'
import { LentNumbers } from './lent-numbers.ts'
import type { ServerPin } from './server-pins.ts'
import type { Wire } from './wire.ts'

/** Pages of two releases may be open at the same time: what does not agree here does not speak through the other. */
const VERSION = 1

interface Greeting {
  readonly version: number
  readonly first: number
  readonly level: Durability
  readonly path: string
  readonly exporter: Uint8Array
  readonly keys: Uint8Array
  readonly delegation: Uint8Array
  readonly limits: EstablishedServer['limits']
  readonly follows: Uint8Array | null
  /** Identities that speak on the connection, by their fingerprints, and their numbers. */
  readonly sessions: Readonly<Record<string, number>>
}

interface NoGreeting {
  readonly version: number
  readonly code: string
  readonly facts: ErrorFacts
}

/** Lets another tab speak through the connection that `leased` gives, until one of them ends. */
export async function relayTo(socket: Socket, leased: () => Promise<Lease>): Promise<void> {
  let end = (): void => undefined
  let isClosed = false
  let send: ((messages: Uint8Array) => void) | undefined
  socket.start({
    message: (messages) => send?.(messages),
    closed() {
      isClosed = true
      end()
    },
    drained() {},
  })
  let lease: Lease
  try {
    lease = await leased()
  } catch (error) {
    const { code, facts } = isAteError(error) ? error : new AteError('OFFLINE', { what: String(error) })
    socket.send(encodeCanonical({ version: VERSION, code, facts } satisfies NoGreeting))
    socket.close(CLOSE.GOING_AWAY, '')
    return
  }
  const { connection } = lease
  const lost = (): void => socket.close(CLOSE.GOING_AWAY, 'the connection to the server ended')
  connection.lent ??= new LentNumbers((message) => connection.send(message))
  const { lent } = connection
  const first = lent.lend({ given: (messages) => socket.send(messages), lost })
  end = () => {
    lent.takeBack(first)
    lease.leave()
  }
  if (isClosed) end()
  else if (connection.isLost) lost()
  else {
    send = (messages) => connection.sendFrame(messages)
    socket.send(encodeCanonical(greetingOf(connection, first)))
  }
}

function greetingOf(connection: ClientConnection, first: number): Greeting {
  const { server, level, path } = connection
  return {
    version: VERSION,
    first,
    level,
    path,
    exporter: connection.exporter,
    keys: server.identity.keys,
    delegation: server.delegationBytes,
    limits: server.limits,
    follows: server.follows ?? null,
    sessions: connection.provenSessions,
  }
}

/** A connection through the leader at the other end of `socket`. @throws AteError, as connect; WIRE_VERSION */
export function connectThrough(
  platform: Platform,
  socket: Socket,
  { pin, signal }: { readonly pin: ServerPin; readonly signal?: AbortSignal | undefined },
): Promise<ClientConnection> {
  const connecting = connectionOver(socket, {
    taken: (bytes) => connectionOf(platform, socket, decodeCanonical(bytes) as Greeting | NoGreeting, pin),
    ended: () => ({ what: 'the tab that has the connection ended it' }),
  })
  return unlessAborted(connecting, signal, () => socket.terminate())
}

function connectionOf(
  platform: Platform,
  socket: Socket,
  said: Greeting | NoGreeting,
  pin: ServerPin,
): ClientConnection {
  if (said.version !== VERSION) throw new AteError('WIRE_VERSION', { ours: VERSION, tab: said.version })
  if ('code' in said) throw new AteError(said.code as ErrorCode, said.facts)
  const { crypto } = platform
  const identity = publicIdentity(crypto, said.keys)
  const delegationBytes = said.delegation.slice()
  const server: EstablishedServer = {
    identity,
    follows: said.follows?.slice(),
    delegation: parseDelegation(crypto, delegationBytes, identity.keys),
    delegationBytes,
    limits: said.limits,
  }
  pin.expect(server)
  const { first, level, path, sessions } = said
  return new ClientConnection(platform, socket, openWire(said.exporter.slice()), server, {
    first,
    welcome: { level, path },
    sessions,
  })
}

/** Between tabs of one origin nothing is sealed. */
function openWire(exporter: Uint8Array): Wire {
  const never = (): never => {
    throw new AteError('INTERNAL', { what: 'keys are changed by the tab that has the connection' })
  }
  return {
    mode: 'plain',
    exporter,
    seal: (plaintext) => plaintext.slice(),
    open: (frame) => frame,
    rekeyOffer: never,
    rekeyAnswer: never,
    rekeyDone: never,
    rekeyEnd: never,
    close: () => undefined,
  }
}
