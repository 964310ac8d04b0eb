/** Which vault a command works with, as whom; opened beside its writer where it only reads. */
import process from 'node:process'
import type { Chain } from '@ate/core'
import { type Vault, vault } from '@ate/vault'
import { CommanderError } from 'commander'
import { openPlace, type PlaceOptions } from '../open-place.ts'
import type { Purpose } from '../place.ts'

export interface VaultOptions extends PlaceOptions {
  readonly at?: string
  readonly name?: string
  readonly json?: boolean
}

const DEFAULT_PLACE = './vault'

/** Runs with the vault open, and closes it. `read` changes nothing and runs beside a process that writes. */
export async function withVault<R>(
  options: VaultOptions,
  purpose: Purpose,
  run: (vault: Vault, chain: Chain) => Promise<R>,
): Promise<R> {
  const place = options.at ?? process.env['ATE_VAULT'] ?? DEFAULT_PLACE
  const chain = await openPlace(place, options, purpose)
  try {
    return await run(vault(chain, options.name === undefined ? {} : { name: options.name }), chain)
  } finally {
    await chain.close()
  }
}

/** Wrong arguments: exit code 2. */
export function usage(what: string): CommanderError {
  process.stderr.write(`error: ${what}\n`)
  return new CommanderError(2, 'ate.vault', what)
}

/** A path, and a field of its value. `ate://` in front is left out or not. */
export function parseReference(text: string): { readonly path: string; readonly field: string | undefined } {
  const bare = text.startsWith('ate://') ? text.slice('ate://'.length) : text
  const at = bare.indexOf('#')
  return at < 0 ? { path: bare, field: undefined } : { path: bare.slice(0, at), field: bare.slice(at + 1) }
}
