/**
 * Identities of this machine: made in memory, kept in files, found in the environment of a container, or made on first
 * use. A file that others can read is refused, one that is there is never overwritten.
 */
import { platform as ownPlatform } from '#platform'
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { objectOf } from '../base/option-names.ts'
import { type Identity, type IdentityMakers, markKept, newIdentity } from './identity.ts'
import type { Passphrase, SealOptions } from './identity-text.ts'
import type { Platform } from './platform.ts'

export interface OpenIdentityOptions extends SealOptions {
  /** Makes an identity and saves it if there is no file. */
  readonly create?: boolean
}

/** A fresh identity in memory; it is gone with the process unless it is saved. Takes about 2 to 15 ms. */
export async function createIdentity(makers: IdentityMakers = makersOf(ownPlatform)): Promise<Identity> {
  return newIdentity(makers)
}

/**
 * The identity in `file`, made and saved there first if `create` is set and there is none. Without a passphrase, that
 * of ATE_PASSPHRASE or of the file ATE_PASSPHRASE_FILE is used, if one is needed.
 * @throws AteError BAD_IDENTITY | PASSPHRASE_NEEDED | WRONG_PASSPHRASE | INSECURE_FILE | UNSUPPORTED_FORMAT
 */
export async function openIdentity(
  file: string,
  options: OpenIdentityOptions = {},
  platform: Platform = ownPlatform,
): Promise<Identity> {
  objectOf(options)
  const found = await platform.files.read(file)
  if (found) {
    refuseOpenFile(file, found.mode, OTHERS)
    return await identityOf(platform, found.text, passphraseOf(options, platform))
  }
  if (!options.create) {
    throw new AteError(
      'BAD_IDENTITY',
      { file },
      { hint: 'there is no identity file here; name another, or pass { create: true }' },
    )
  }
  const identity = newIdentity(makersOf(platform))
  const text = await textOf(platform, identity, sealOf(options, platform))
  if (await platform.files.create(file, text)) return markKept(identity)
  // Another process was first: its identity is the one.
  return openIdentity(file, { ...options, create: false }, platform)
}

/**
 * Saves an identity to a new file of mode 0600, sealed if a passphrase is given.
 * @throws AteError IDENTITY_EXISTS
 */
export async function saveIdentity(
  identity: Identity,
  file: string,
  options: SealOptions = {},
  platform: Platform = ownPlatform,
): Promise<void> {
  const text = await textOf(platform, identity, options)
  if (!(await platform.files.create(file, text))) throw new AteError('IDENTITY_EXISTS', { file })
}

/**
 * The text that `saveIdentity` writes, sealed if a passphrase is given: to be kept by other means than a file. Without a
 * passphrase it is the secret itself.
 */
export async function identityToText(
  identity: Identity,
  options: SealOptions = {},
  platform: Platform = ownPlatform,
): Promise<string> {
  return textOf(platform, identity, options)
}

/** The identity of such a text. @throws AteError BAD_IDENTITY | PASSPHRASE_NEEDED | WRONG_PASSPHRASE | UNSUPPORTED_FORMAT */
export async function identityFromText(
  text: string,
  options: SealOptions = {},
  platform: Platform = ownPlatform,
): Promise<Identity> {
  return identityOf(platform, text, options.passphrase)
}

/**
 * Who acts where nobody is named: the text in ATE_IDENTITY, else the file ATE_IDENTITY_FILE, else this machine's own,
 * made on first use in its state folder.
 * @throws AteError as openIdentity; STATE_UNWRITABLE
 */
export async function machineIdentity(options: SealOptions = {}, platform: Platform = ownPlatform): Promise<Identity> {
  const text = platform.variable('ATE_IDENTITY')
  const passphrase = passphraseOf(options, platform)
  // Some tools pass variables on with the line breaks written as \n.
  if (text !== undefined) return identityOf(platform, text.replaceAll('\\n', '\n'), passphrase)
  const file = platform.variable('ATE_IDENTITY_FILE')
  if (file === undefined) return storedIdentity(options, platform)
  return identityOf(platform, await mountedText(platform, file), passphrase)
}

const STATE_NAME = 'identity'
const LOCK_WAIT_MS = 20_000
/** Permission bits: anything for others than the owner, and writing only. */
const OTHERS = 0o077
const OTHERS_WRITE = 0o022

function makersOf(platform: Platform): IdentityMakers {
  return { crypto: platform.crypto, random: platform.environment.random }
}

// Loaded when it is needed: a page that is handed its identity needs none of it.
async function identityOf(platform: Platform, text: string, passphrase: Passphrase | undefined): Promise<Identity> {
  const { readIdentityText } = await import('./identity-text.ts')
  return markKept(await readIdentityText(makersOf(platform), text, passphrase))
}

async function textOf(platform: Platform, identity: Identity, options: SealOptions): Promise<string> {
  const { identityText } = await import('./identity-text.ts')
  return identityText(makersOf(platform), identity, options)
}

async function storedIdentity(options: SealOptions, platform: Platform): Promise<Identity> {
  return (await readStored(options, platform)) ?? (await makeStored(options, platform))
}

async function readStored(options: SealOptions, platform: Platform): Promise<Identity | undefined> {
  const bytes = await platform.state.get(STATE_NAME)
  if (!bytes) return undefined
  let text: string
  try {
    text = fromUtf8(bytes)
  } catch {
    throw new AteError('BAD_IDENTITY', { location: platform.state.location, what: 'no UTF-8' })
  }
  return identityOf(platform, text, passphraseOf(options, platform))
}

/** Under a lock: two processes that start at once must not become two identities. */
async function makeStored(options: SealOptions, platform: Platform): Promise<Identity> {
  const { state } = platform
  const lock = await state.lock(STATE_NAME, { waitMs: LOCK_WAIT_MS })
  if (!lock)
    throw new AteError('STATE_UNWRITABLE', {
      location: state.location,
      what: 'the identity is locked by another process',
    })
  try {
    const first = await readStored(options, platform)
    if (first) return first
    const identity = newIdentity(makersOf(platform))
    await state.put(STATE_NAME, utf8(await textOf(platform, identity, sealOf(options, platform))))
    return markKept(identity)
  } finally {
    await lock.release()
  }
}

function sealOf(options: SealOptions, platform: Platform): SealOptions {
  const passphrase = passphraseOf(options, platform)
  return passphrase === undefined ? {} : { ...options, passphrase }
}

/** The caller's, else the environment's, whose file is read only if the identity is sealed or is to be. */
function passphraseOf(options: SealOptions, platform: Platform): Passphrase | undefined {
  if (options.passphrase !== undefined) return options.passphrase
  const text = platform.variable('ATE_PASSPHRASE')
  if (text !== undefined) return text
  const file = platform.variable('ATE_PASSPHRASE_FILE')
  return file === undefined ? undefined : async () => (await mountedText(platform, file)).replace(/\r?\n$/, '')
}

/** Secrets that an orchestrator mounts are often readable by others inside the container, but never writable. */
async function mountedText(platform: Platform, file: string): Promise<string> {
  const found = await platform.files.read(file)
  if (!found) throw new AteError('BAD_IDENTITY', { file }, { hint: 'the file that the environment names is not there' })
  refuseOpenFile(file, found.mode, OTHERS_WRITE)
  return found.text
}

function refuseOpenFile(file: string, mode: number | undefined, refused: number): void {
  if (mode !== undefined && (mode & refused) !== 0) {
    throw new AteError('INSECURE_FILE', { file, mode: (mode & 0o777).toString(8).padStart(4, '0') })
  }
}
