/** Shared by the tests of mesh/: a server with its delegation, both ends of a handshake, and a wire between them. */
import type { Randomness } from '../../src/base/environment.ts'
import { AteError, isAteError } from '../../src/base/errors.ts'
import type { CryptoProvider, Signer } from '../../src/crypto/provider.ts'
import { makeDelegation } from '../../src/event/acknowledgement.ts'
import { ClientHandshake, type ClientHandshakeOptions } from '../../src/mesh/handshake-client.ts'
import { ServerHandshake, type ServerHandshakeOptions } from '../../src/mesh/handshake-server.ts'
import type { Wire } from '../../src/mesh/wire.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import type { EstablishedServer } from '../../src/session/tickets.ts'
import { seededRandom } from '../../src/testing/random.ts'

/** The fast one: vectors and interop take noble. */
export const crypto: CryptoProvider = nodeProvider()
export const NOW = 1_750_000_000_000
const DAY_MS = 24 * 3_600_000

export interface TestServer {
  readonly identity: Identity
  readonly acknowledger: Signer
  readonly delegation: Uint8Array
}

export function testServer(
  seed: number,
  times: { readonly from: number; readonly until: number } = { from: NOW, until: NOW + DAY_MS },
  provider: CryptoProvider = crypto,
): TestServer {
  const identity = newIdentity({ crypto: provider, random: seededRandom(seed) })
  const acknowledger = provider.ed25519Signer(new Uint8Array(32).fill(seed))
  const checkpointKey = provider.ed25519Signer(new Uint8Array(32).fill(seed + 1)).publicKey
  const body = { key: acknowledger.publicKey, checkpointKey, ...times }
  return { identity, acknowledger, delegation: makeDelegation(provider, body, delegator(identity)) }
}

export function delegator(identity: Identity): Parameters<typeof makeDelegation>[2] {
  return { fingerprintBytes: identity.fingerprintBytes, sign: (message) => identity.sign(message, 'delegation') }
}

export interface Ends {
  readonly random?: Randomness
  readonly client?: Partial<ClientHandshakeOptions>
  readonly server?: Partial<ServerHandshakeOptions>
}

let seeds = 1

export function newClient(options: Partial<ClientHandshakeOptions> = {}): ClientHandshake {
  return new ClientHandshake({
    crypto,
    random: seededRandom(seeds++),
    now: () => NOW,
    expect: () => undefined,
    ...options,
  })
}

export function newServer(server: TestServer, options: Partial<ServerHandshakeOptions> = {}): ServerHandshake {
  const { identity, delegation } = server
  const limits = { frameBytes: 1_052_672, sessions: 64 }
  return new ServerHandshake({
    crypto,
    random: seededRandom(seeds++),
    identity,
    delegation,
    limits,
    now: () => NOW,
    ...options,
  })
}

export interface Joined {
  readonly client: Wire
  readonly server: Wire
  readonly met: EstablishedServer
}

/** A whole handshake between honest ends. */
export function joined(server: TestServer, ends: Ends = {}): Joined {
  const client = newClient(ends.client)
  const other = newServer(server, ends.server)
  const { send, done } = client.receive(other.receive(client.hello()).send!)
  const end = other.receive(send).done
  return { client: done!.wire, server: end!.wire, met: done!.server }
}

/** The code of what is thrown, or 'nothing'. */
export function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (isAteError(error)) return error.code
    throw error
  }
  return 'nothing'
}

export function flipped(bytes: Uint8Array, at: number, mask = 1): Uint8Array {
  const copy = bytes.slice()
  copy[at]! ^= mask
  return copy
}

/** What an adversary cannot do: any other error is a mistake of ours. */
export function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof AteError && error.code !== 'INTERNAL') return error.code
    throw error
  }
  return 'nothing'
}
