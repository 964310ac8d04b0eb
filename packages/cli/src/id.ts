/** `ate id`: this machine's identity, or one in a file. Only its public half is ever printed. */

import process from 'node:process'
import { createIdentity, type Identity, saveIdentity } from '@ate/core'
import { CommanderError } from 'commander'
import { type ActingOptions, actingIdentity, identityOf } from './acting.ts'
import { print, toJson } from './output.ts'
import { newPassphrase, passphraseFor } from './passphrase.ts'

export interface IdOptions extends ActingOptions {
  readonly new?: string
  readonly show?: string
  readonly json?: boolean
}

export async function id(options: IdOptions): Promise<void> {
  if ([options.new, options.show, options.as].filter((file) => file !== undefined).length > 1) {
    process.stderr.write('error: give one of --new, --show and --as\n')
    throw new CommanderError(2, 'ate.conflict', 'give one of --new, --show and --as')
  }
  const { fingerprint, publicId } = await wantedIdentity(options)
  const file = options.new ?? options.show ?? options.as
  await print(
    options.json
      ? toJson({ fingerprint, publicId, ...(file === undefined ? {} : { file }) })
      : idText({ fingerprint, publicId }),
  )
}

function idText({ fingerprint, publicId }: Pick<Identity, 'fingerprint' | 'publicId'>): string {
  return `fingerprint ${fingerprint}\npublic id   ${publicId}`
}

async function wantedIdentity(options: IdOptions): Promise<Identity> {
  if (options.new !== undefined) return makeIdentity(options.new, options)
  if (options.show === undefined) return actingIdentity(options)
  const passphrase = passphraseFor(options.show, options)
  return identityOf(options.show, passphrase ? { passphrase } : {})
}

async function makeIdentity(file: string, options: IdOptions): Promise<Identity> {
  const passphrase = await newPassphrase(options)
  const identity = await createIdentity()
  await saveIdentity(identity, file, passphrase === undefined ? {} : { passphrase })
  if (passphrase === undefined) process.stderr.write(`${file} is not sealed: whoever can read it can act with it.\n`)
  return identity
}
