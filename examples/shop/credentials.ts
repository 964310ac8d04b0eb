/**
 * The carrier's token, kept by the vault: whoever owns the shop puts it there, the shop's processes may read it. It stands on
 * a chain of its own in a file, which they open beside each other to read.
 */
import { randomBytes } from 'node:crypto'
import type { Identity } from '@ate/core'
import { openChain, vault } from '@ate/vault'

const TOKEN = 'carrier/token'

/** With the first start a token is drawn; in real life the carrier would give one. The id of the chain. */
export async function keepCredentials(place: string, owner: Identity, shop: Identity): Promise<string> {
  await using chain = await openChain(place, { as: owner })
  const secrets = vault(chain)
  for await (const _ of secrets.list(TOKEN)) return chain.id
  await secrets.role('shop').allow('carrier/**', ['list', 'read'])
  await secrets.role('shop').add(shop.publicId)
  await secrets.secret(TOKEN).put(randomBytes(24).toString('base64url'))
  return chain.id
}

export async function carrierToken(place: string, id: string, as: Identity): Promise<string> {
  await using chain = await openChain(place, { as, id, readOnly: true })
  return (await vault(chain).secret(TOKEN).get()).value
}
