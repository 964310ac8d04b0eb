/** Makes a connection to a server: dials it, shakes hands over the socket, and hears its welcome. */
import { unlessAborted } from '../base/deferred.ts'
import { AteError, type ErrorFacts } from '../base/errors.ts'
import { SOCKET_DIAL_MS } from '../base/limits.ts'
import { CLOSE, type CloseReason, type Dial, type DialOptions, type Socket } from '../base/socket.ts'
import type { Platform } from '../session/platform.ts'
import { ClientConnection } from './client-connection.ts'
import { ClientHandshake } from './handshake-client.ts'
import type { ServerPin } from './server-pins.ts'

export interface ConnectOptions extends DialOptions {
  readonly url: string
  readonly pin: ServerPin
  /** Offers a wire that seals nothing: for loopback alone. */
  readonly plain?: 'allow'
  /** Instead of the platform's. */
  readonly dial?: Dial
}

/** @throws AteError SERVER_UNREACHABLE | SERVER_UNKNOWN | SERVER_CHANGED | HANDSHAKE_FAILED | WIRE_VERSION | OFFLINE */
export async function connect(platform: Platform, options: ConnectOptions): Promise<ClientConnection> {
  const { url, pin, plain, dial = platform.dial, ...dialing } = options
  const { signal } = dialing
  const socket = await dial(url, dialing)
  const { crypto, environment, tickets } = platform
  const now = (): number => environment.clock.now()
  const ticket = pin.hint && tickets?.take(url, pin.hint, now())
  const handshake = new ClientHandshake({
    crypto,
    random: environment.random,
    now,
    expect: pin.expect,
    ...(ticket ? { ticket } : {}),
    ...(pin.hint ? { hint: pin.hint } : {}),
    ...(plain ? { plain } : {}),
  })
  // One that takes the connection and says nothing: whoever dials anew finds another, or none.
  const tooLate = environment.timers.start(SOCKET_DIAL_MS, () => socket.terminate())
  try {
    const connecting = connectionOver(socket, {
      taken(bytes) {
        const { send, done } = handshake.receive(bytes)
        socket.send(send)
        if (!done) return undefined
        const { wire, server, by } = done
        tickets?.keep(url, { exporter: wire.exporter, server, by }, now())
        return new ClientConnection(platform, socket, wire, server)
      },
      ended: ({ code, text }) => ({ what: 'the connection ended', closeCode: code, said: text.slice(0, 80) }),
    })
    socket.send(handshake.hello())
    const connection = await unlessAborted(connecting, signal, () => socket.terminate())
    await unlessAborted(connection.welcomed(), signal, () => socket.terminate())
    await pin.remember(connection.server)
    return connection
  } finally {
    tooLate.cancel()
  }
}

export interface Beginning {
  /** What comes before there is a connection; gives it when there is. What it throws refuses the other end. */
  taken(bytes: Uint8Array): ClientConnection | undefined
  /** Facts of the OFFLINE that the end of the socket is. */
  ended(how: CloseReason): ErrorFacts
}

/** The connection that is made over a socket; it takes the socket's messages from then on. */
export function connectionOver(socket: Socket, { taken, ended }: Beginning): Promise<ClientConnection> {
  let connection: ClientConnection | undefined
  return new Promise((resolve, reject) => {
    socket.start({
      message(bytes) {
        if (connection) {
          connection.receive(bytes)
          return
        }
        try {
          connection = taken(bytes)
          if (connection) resolve(connection)
        } catch (error) {
          socket.close(CLOSE.REFUSED, '')
          reject(error)
        }
      },
      closed(how) {
        if (connection?.isLost) return
        const error = new AteError('OFFLINE', ended(how))
        if (connection) connection.lose(error)
        else reject(error)
      },
      drained() {},
    })
  })
}
