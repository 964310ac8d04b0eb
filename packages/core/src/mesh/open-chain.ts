/** Opens a chain wherever it is: a log that this process writes, or a server. */
import { platform as ownPlatform } from '#platform'
import { AteError } from '../base/errors.ts'
import type { Chain } from '../data/chain.ts'
import { type OpenOptions, openChain as openLog } from '../data/open-chain.ts'
import type { LogEngine } from '../log/engine.ts'
import type { Platform } from '../session/platform.ts'

/**
 * Opens the chain at `at`: `memory:`, `file:PATH`, `indexeddb:NAME` (in a browser), `ws://HOST:PORT/PATH/NAME`, `wss://...`, or an engine.
 * @throws AteError BAD_URL | BAD_ARGUMENT (also an option that there is not) | CHAIN_NOT_FOUND | CHAIN_LOCKED | CHAIN_GONE | NOT_A_CHAIN | NOT_PINNED | WRONG_CHAIN |
 * CHAIN_COPY | CHAIN_MOVED | CHAIN_INCOMPLETE | CHAIN_DESTROYED | BAD_PIN | PIN_UNAVAILABLE |
 * NEEDS_UPGRADE | UNSUPPORTED_FORMAT | ROLLBACK | FORK | NOT_WITNESSED | BAD_COSIGNATURE | DAMAGED | READ_ONLY |
 * STATE_UNWRITABLE and the errors of records that were altered; of a server also SERVER_UNREACHABLE | SERVER_UNKNOWN |
 * SERVER_CHANGED | HANDSHAKE_FAILED | WIRE_VERSION | OFFLINE | NOT_AUTHORIZED
 */
export async function openChain(
  at: string | LogEngine,
  options: OpenOptions = {},
  platform: Platform = ownPlatform,
): Promise<Chain> {
  checkNames(options)
  if (isRemote(at)) {
    const { openRemote } = await import('./open-remote.ts')
    return openRemote(at, options, platform)
  }
  if (!options.share) return openLog(at, options, platform)
  const { openShared } = await import('./open-shared.ts')
  return openShared(at, options, platform)
}

/** All options there are; the type says so. */
const NAMES: Readonly<Record<keyof OpenOptions, true>> = {
  as: true,
  id: true,
  create: true,
  readOnly: true,
  pq: true,
  rollback: true,
  compact: true,
  observe: true,
  witnesses: true,
  snapshot: true,
  pin: true,
  share: true,
  signal: true,
  serverKey: true,
  serverPin: true,
  replica: true,
  offline: true,
  trust: true,
  bodies: true,
  onProgress: true,
  wire: true,
  ca: true,
}

/** A pin, or a limit of trust, that is misspelt must not be one that nobody asked for. @throws AteError BAD_ARGUMENT */
function checkNames(options: unknown): void {
  if (typeof options !== 'object' || options === null)
    throw new AteError('BAD_ARGUMENT', { what: 'options are an object' })
  for (const option of Object.keys(options))
    if (!Object.hasOwn(NAMES, option)) throw new AteError('BAD_ARGUMENT', { option, what: 'there is no such option' })
}

/** Addresses of servers, not of logs. Their code is loaded with the first of them. */
export function isRemote(at: unknown): at is string {
  return typeof at === 'string' && /^wss?(\+unix)?:/.test(at)
}
