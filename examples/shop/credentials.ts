/**
 * The carrier's token, kept by the vault on the shop's own chain: its owner puts it there, and of the shop's processes only
 * the workers open it. The web process, which strangers talk to, has the same log before it and no key for that.
 */
import { randomBytes } from 'node:crypto'
import type { Chain, Identity } from '@ate/core'
import { vault } from '@ate/vault'

const TOKEN = 'carrier/token'

/** By the owner. With the first start a token is drawn; in real life the carrier would give one. */
export async function keepCredentials(chain: Chain, worker: Identity): Promise<void> {
  const secrets = vault(chain)
  for await (const _ of secrets.list(TOKEN)) return
  await secrets.role('worker').allow('carrier/**', ['list', 'read'])
  await secrets.role('worker').add(worker.publicId)
  // Last: while it is not there, a start that was cut off begins again.
  await secrets.secret(TOKEN).put(randomBytes(24).toString('base64url'))
}

/** @throws AteError NOT_FOUND for whoever is no worker */
export async function carrierToken(chain: Chain): Promise<string> {
  return (await vault(chain).secret(TOKEN).get()).value
}
