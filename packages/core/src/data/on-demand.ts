/**
 * What few programs do, and none does often: each loads its code when it is called, so that a page does not carry what it
 * never does.
 */
import { platform as ownPlatform } from '#platform'
import type { ChainId } from '../base/ids.ts'
import type { LogEngine } from '../log/engine.ts'
import type { Platform } from '../session/platform.ts'
import type { BackupPlaceOptions, BackupReceipt, CopyReceipt, RestoreOptions } from './backup.ts'
import type { DestroyOptions } from './destroy.ts'
import type { KnownPlace } from './known-places.ts'
import type { PushOptions } from './push.ts'
import type { SalvageOptions, SalvageReport } from './salvage.ts'
import type { PlaceReport, VerifyPlaceOptions } from './verify-place.ts'

/**
 * Backs the chain at `from` up into the empty folder `to`, beside its writer, without any key of it.
 * @throws AteError CHAIN_NOT_FOUND | CHAIN_GONE | CHAIN_EXISTS | WRONG_CHAIN | BAD_URL | DISK_FULL | IO_ERROR | DAMAGED and the
 * errors of records that were altered
 */
export async function backup(
  from: string | LogEngine,
  to: string,
  options: BackupPlaceOptions = {},
  platform: Platform = ownPlatform,
): Promise<BackupReceipt> {
  const code = await import('./backup.ts')
  return code.backup(from, to, options, platform)
}

/**
 * Makes a chain of the backup at `from` in the empty place `to`. Every file is held against the list, every record is
 * verified, and only then does the copy count. It is read-only until `recover`: the original may be alive.
 * @throws AteError BAD_BACKUP { file } | CHAIN_EXISTS | WRONG_CHAIN | BAD_URL | DISK_FULL | IO_ERROR and the errors of records
 * that were altered
 */
export async function restore(
  from: string,
  to: string | LogEngine,
  options: RestoreOptions = {},
  platform: Platform = ownPlatform,
): Promise<CopyReceipt> {
  const code = await import('./backup.ts')
  return code.restore(from, to, options, platform)
}

/**
 * Moves the chain at `from`, which nobody has open for writing, to the empty place `to`. Afterwards `from` is read-only
 * and says where the chain went; `to` goes on under the same rules.
 * @throws AteError CHAIN_NOT_FOUND | CHAIN_GONE | CHAIN_LOCKED | CHAIN_COPY | CHAIN_MOVED (to another place, or not whole
 * there) | CHAIN_EXISTS | WRONG_CHAIN | BAD_URL | DISK_FULL | IO_ERROR | DAMAGED and the errors of records that were altered
 */
export async function push(
  from: string | LogEngine,
  to: string | LogEngine,
  options: PushOptions = {},
  platform: Platform = ownPlatform,
): Promise<CopyReceipt> {
  const code = await import('./push.ts')
  return code.push(from, to, options, platform)
}

/**
 * Writes what can be trusted of the log at `from` to the empty place `to`, which is read-only until `recover`.
 * @throws AteError CHAIN_NOT_FOUND | CHAIN_INCOMPLETE | CHAIN_DESTROYED | CHAIN_EXISTS | WRONG_CHAIN | UNSUPPORTED_FORMAT |
 * NEEDS_UPGRADE | DAMAGED (not even the first record can be trusted) | BAD_URL | DISK_FULL | IO_ERROR
 */
export async function salvage(
  from: string,
  to: string | LogEngine,
  options: SalvageOptions = {},
  platform: Platform = ownPlatform,
): Promise<SalvageReport> {
  const code = await import('./salvage.ts')
  return code.salvage(from, to, options, platform)
}

/**
 * Reads every byte at `at` (`file:PATH`, or an engine) and checks it; changes nothing, and may run beside a writer.
 * Damage and forgery are problems of the report, not errors.
 * @throws AteError BAD_URL | CHAIN_NOT_FOUND | CHAIN_GONE | NOT_A_CHAIN | WRONG_CHAIN | UNSUPPORTED_FORMAT | NEEDS_UPGRADE |
 * IO_ERROR
 */
export async function verifyPlace(
  at: string | LogEngine,
  options: VerifyPlaceOptions = {},
  platform: Platform = ownPlatform,
): Promise<PlaceReport> {
  const code = await import('./verify-place.ts')
  return code.verifyPlace(at, options, platform)
}

/**
 * Destroys what stands at `at`, which nobody has open for writing: the wrapped keys first, overwritten, then the log; then
 * this machine forgets the place. A chain, a copy, a backup, a damaged one, or one whose destruction was interrupted.
 * @throws AteError CHAIN_NOT_FOUND | CHAIN_LOCKED | WRONG_CHAIN | DAMAGED (nobody can say which chain it is) | BAD_URL |
 * READ_ONLY | IO_ERROR
 */
export async function destroy(
  at: string | LogEngine,
  options: DestroyOptions = {},
  platform: Platform = ownPlatform,
): Promise<{ readonly chain: ChainId | undefined }> {
  const code = await import('./destroy.ts')
  return code.destroy(at, options, platform)
}

/** All of them, in the order in which they became known. @throws AteError DAMAGED | STATE_UNWRITABLE */
export async function knownPlaces(platform: Platform = ownPlatform): Promise<readonly KnownPlace[]> {
  const code = await import('./known-places.ts')
  return code.knownPlaces(platform)
}
