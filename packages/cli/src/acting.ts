/** Who acts: the identity of `--as`, or this machine's own. */
import { existsSync } from 'node:fs'
import { AteError, type Identity, machineIdentity, openIdentity } from '@ate/core'
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
