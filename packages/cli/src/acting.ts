/** Who acts: the identity of `--as`, or this machine's own. */
import { existsSync, readFileSync } from 'node:fs'
import { AteError, type Identity, machineIdentity, openIdentity, type PublicId } from '@ate/core'
import { type PassphraseOptions, passphraseFor } from './passphrase.ts'

export interface ActingOptions extends PassphraseOptions {
  readonly as?: string
}

export function actingIdentity(options: ActingOptions): Promise<Identity> {
  const passphrase = passphraseFor(options.as ?? "this machine's identity", options)
  const sealing = passphrase ? { passphrase } : {}
  return options.as === undefined ? machineIdentity(sealing) : identityOf(options.as, sealing)
}

/** The identity in a file. */
export async function identityOf(
  file: string,
  sealing: { readonly passphrase?: () => Promise<string> },
): Promise<Identity> {
  if (existsSync(file)) return openIdentity(file, sealing)
  throw new AteError('BAD_IDENTITY', { file }, { hint: 'there is no file here; `ate id --new FILE` makes an identity' })
}

/**
 * A public id, which has five thousand characters, or the name of a file that holds it: alone, or as `ate id` prints it.
 * @throws AteError BAD_PUBLIC_ID
 */
export function publicIdOf(text: string): PublicId {
  if (text.startsWith('ate1')) return text as PublicId
  const hint =
    'give a public id, or a file that holds one: `ate id > me.pub`, or `ate id --show FILE > me.pub`, writes it'
  if (!existsSync(text)) throw new AteError('BAD_PUBLIC_ID', { given: text }, { hint })
  const found = /\bate1[0-9a-z]{100,}/.exec(readFileSync(text, 'utf8'))
  if (!found) throw new AteError('BAD_PUBLIC_ID', { file: text }, { hint })
  return found[0] as PublicId
}
