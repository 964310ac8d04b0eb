/**
 * Where this machine keeps what an identity writes a chain with. There are several places, each for one process or tab at a
 * time, which holds its lock: so that every one of them has a certificate that is taken up again, and an outbox.
 *
 *   certificates/CHAIN-IDENTITY    outbox/CHAIN-IDENTITY/NUMBER      the first
 *   certificates/CHAIN-IDENTITY.1  outbox/CHAIN-IDENTITY.1/NUMBER    the second, and so on
 *
 * What one that died has left in an outbox is sent by whoever takes that place: one that opens the chain, or one that has it
 * open and is connected.
 */
import { chainIdOf } from '../base/ids.ts'
import { WRITER_PLACES_MAX } from '../base/limits.ts'
import type { StateStore } from '../session/state-store.ts'

export interface WriterPlace {
  /** Names in the state: of the certificate, and what the names of kept commits begin with. */
  readonly certificate: string
  readonly outbox: string
  release(): Promise<void>
}

export interface WriterPlaceOptions {
  readonly chain: Uint8Array
  readonly identity: string
  /** `first`: no other. `any`: one with commits that wait if there is one, else the first that is free. `left`: only such. */
  readonly which: 'first' | 'any' | 'left'
  /** Names of certificates whose places are not asked for. */
  readonly except?: ReadonlySet<string>
}

/** Undefined if others have them. @throws AteError STATE_UNWRITABLE */
export async function takeWriterPlace(
  state: StateStore,
  { chain, identity, which, except }: WriterPlaceOptions,
): Promise<WriterPlace | undefined> {
  const base = `${chainIdOf(chain)}-${identity}`
  const names = which === 'first' ? [base] : await placesOf(state, base, which)
  for (const name of names) {
    const certificate = `certificates/${name}`
    const lock = except?.has(certificate) ? undefined : await state.lock(certificate)
    if (lock) return { certificate, outbox: `outbox/${name}/`, release: () => lock.release() }
  }
  return undefined
}

async function placesOf(state: StateStore, base: string, which: 'any' | 'left'): Promise<readonly string[]> {
  const all = Array.from({ length: WRITER_PLACES_MAX }, (_, n) => (n === 0 ? base : `${base}.${n}`))
  const kept = await state.list('outbox/')
  const left = all.filter((name) => kept.some((entry) => entry.startsWith(`outbox/${name}/`)))
  return which === 'left' ? left : [...new Set([...left, ...all])]
}
