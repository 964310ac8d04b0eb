/**
 * Which server is meant: by the key that the caller gives, by DNS, or by what this machine knows of the host (the state's
 * `known-servers`, one `HOST:PORT FINGERPRINT` a line). On first use nothing is trusted but, where the caller allows it, a
 * loopback host. A server with another key is taken only if the old key has signed a succession to it.
 *
 * A key that the caller gives overrules what is known, and replaces it. DNS does not: without DNSSEC it is worth less than
 * memory, so a server that both speak of must satisfy both.
 */
import { equalBytes } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { fingerprintOf, toBase32 } from '../base/ids.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { fingerprintInText, type PublicIdentity } from '../session/identity.ts'
import {
  assertLineName,
  changeKnownLines,
  type KnownLines,
  parseKnownLines,
  readKnownLines,
} from '../session/known-lines.ts'
import type { Platform } from '../session/platform.ts'
import type { StateStore } from '../session/state-store.ts'
import type { PresentedServer } from '../session/tickets.ts'

export interface ServerPinOptions {
  /** As in a URL: a name, an IPv4 address, or an IPv6 address in brackets. Case does not matter. */
  readonly host: string
  readonly port: number
  /** The server's publicId or fingerprint as text, or its identity. */
  readonly serverKey?: string | Pick<PublicIdentity, 'fingerprintBytes'>
  /** Asks for the TXT records of `_ate.<host>`. */
  readonly pin?: 'dns'
  /** Who has sent the client here, and is the same one: beside what is known of this host, never instead. */
  readonly sibling?: Pick<PublicIdentity, 'fingerprintBytes'>
  /** What is done with a loopback host of which nothing is known: `remember` writes its key down. Else it is refused. */
  readonly firstUse?: 'accept' | 'remember'
}

/** What is expected of one server: for one handshake, and what follows it. */
export interface ServerPin {
  /** Of ClientHandshakeOptions: the fingerprint that the server is known by. */
  readonly hint: Uint8Array | undefined
  /** @throws AteError SERVER_UNKNOWN | SERVER_CHANGED, both with the fingerprint that the server has */
  expect(server: PresentedServer): void
  /** Writes down what was learned, after a handshake that went well. @throws AteError STATE_UNWRITABLE | DAMAGED */
  remember(server: PresentedServer): Promise<void>
}

/** @throws AteError BAD_ARGUMENT | BAD_PUBLIC_ID | BAD_PIN | PIN_UNAVAILABLE | DAMAGED */
export async function serverPin(
  platform: Pick<Platform, 'crypto' | 'state' | 'resolveTxt'>,
  options: ServerPinOptions,
): Promise<ServerPin> {
  const { host, port, serverKey, pin, firstUse, sibling } = options
  const name = `${host.toLowerCase()}:${port}`
  assertLineName('host', name)
  const given = serverKey === undefined ? undefined : fingerprintIn(platform.crypto, serverKey)
  const known = await lookUpServer(platform.state, name)
  const named = given === undefined && pin === 'dns' ? await serverInDns(platform, host.toLowerCase()) : undefined
  const required = given
    ? [given]
    : [sibling?.fingerprintBytes, named, known].filter((fingerprint) => fingerprint !== undefined)
  const isFirstUse = required.length === 0 && firstUse !== undefined && isLoopback(host)
  return {
    hint: given ?? known ?? named ?? sibling?.fingerprintBytes,
    expect(server) {
      judgeServer(name, required, isFirstUse ? 'accept' : 'refuse', server)
    },
    async remember({ identity: { fingerprintBytes } }) {
      if (isFirstUse && firstUse === 'accept') return
      if (known && equalBytes(known, fingerprintBytes)) return
      await setKnownServer(platform.state, name, fingerprintBytes)
    },
  }
}

/** Names and addresses that never leave the machine. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  return name === 'localhost' || name === '[::1]' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name)
}

/** Forgets what is known of a server; no error if nothing is. */
export async function forgetKnownServer(
  state: StateStore,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  const name = `${host.toLowerCase()}:${port}`
  await changeKnownLines(state, LINES, (lines) => {
    const left = without(state, lines, name)
    return left.length === lines.length ? lines : left
  })
}

/** Its file in the state. */
export const KNOWN_SERVERS = 'known-servers'
const LINES: KnownLines = { file: KNOWN_SERVERS, form: 'HOST:PORT FINGERPRINT' }

/** Each fingerprint that is required must be the server's own, or that of whom it follows. */
function judgeServer(
  name: string,
  required: readonly Uint8Array[],
  unknown: 'accept' | 'refuse',
  { identity, follows }: PresentedServer,
): void {
  const { fingerprint, fingerprintBytes } = identity
  if (required.length === 0 && unknown === 'refuse') throw new AteError('SERVER_UNKNOWN', { server: name, fingerprint })
  for (const wanted of required) {
    const isIt = equalBytes(wanted, fingerprintBytes) || (follows !== undefined && equalBytes(wanted, follows))
    if (!isIt) throw new AteError('SERVER_CHANGED', { server: name, known: fingerprintOf(wanted), fingerprint })
  }
}

/** A page has no DNS: it does not load what asks it. */
async function serverInDns(platform: Pick<Platform, 'crypto' | 'resolveTxt'>, host: string): Promise<Uint8Array> {
  const { serverOfHost } = await import('../session/dns-pin.ts')
  return serverOfHost(platform, host)
}

function fingerprintIn(crypto: CryptoProvider, serverKey: NonNullable<ServerPinOptions['serverKey']>): Uint8Array {
  if (typeof serverKey === 'string') return fingerprintInText(crypto, serverKey)
  const bytes: unknown = serverKey?.fingerprintBytes
  if (bytes instanceof Uint8Array && bytes.length === 32) return bytes
  throw new AteError('BAD_ARGUMENT', { argument: 'serverKey', wanted: 'a publicId, a fingerprint or an identity' })
}

async function lookUpServer(state: StateStore, name: string): Promise<Uint8Array | undefined> {
  const lines = parseKnownLines(state, LINES, await readKnownLines(state, LINES))
  return lines.find((line) => line?.name === name)?.id
}

async function setKnownServer(state: StateStore, name: string, fingerprint: Uint8Array): Promise<void> {
  await changeKnownLines(state, LINES, (lines) => [...without(state, lines, name), `${name} ${toBase32(fingerprint)}`])
}

function without(state: StateStore, lines: readonly string[], name: string): readonly string[] {
  const parsed = parseKnownLines(state, LINES, lines)
  return lines.filter((_, index) => parsed[index]?.name !== name)
}
