/**
 * Who may grant at a pattern writes the record of its zone, and could write another pattern into it, or the nodes of another zone:
 * what is put at those paths would then be sealed for him. So the pattern of a zone counts only if the vault's record, which owners
 * alone write, holds its commitment, and its nodes only if they stand below it.
 *
 *   commitment = SHA-256(label 'pattern' || JSON of [salt, pattern])     the salt is sealed in the zone's record: the pattern stays secret
 */
import type { Chain } from '@ate/core'
import { derive } from './sealing.ts'
import type { VaultRecord, VouchedZone, ZoneRecord } from './vault-records.ts'

export const SALT_BYTES = 16

export function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function vouchFor(zone: string, { pattern, salt }: Pick<ZoneRecord, 'pattern' | 'salt'>): VouchedZone {
  // As JSON, so that no part of a pattern can be taken for one of the salt.
  return { zone, commitment: toHex(derive('pattern', new TextEncoder().encode(JSON.stringify([salt, pattern])))) }
}

/** Records are looked at again with each new record of the log, and most of them are the same objects. */
const vouched = new WeakMap<ZoneRecord, VaultRecord>()

export function isVouchedFor(vault: VaultRecord, chain: Chain, id: string, record: ZoneRecord): boolean {
  if (vouched.get(record) === vault) return true
  const known = vault.zones.find(({ zone }) => zone === id)
  const isIt =
    known?.commitment === vouchFor(id, record).commitment &&
    isBelow(chain, record.names, id) &&
    isBelow(chain, record.values, id)
  if (isIt) vouched.set(record, vault)
  return isIt
}

/** True if an entity is there, and stands directly below another one. */
export function isBelow(chain: Chain, entity: string, parent: string): boolean {
  return chain.has(entity) && chain.parentOf(entity) === parent
}
