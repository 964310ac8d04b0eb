/** Lengths of time as the libraries give them that the adapters are for: any number may come. */
import type { SetOptions } from './cache-types.ts'

/** What a Date can say: no end is later. */
const MS_MAX = 8.64e15

/** Nothing, 0, and what never ends are no time; what is over is over at once. */
export function ttlOf(ms: number | null | undefined): Pick<SetOptions, 'ttl'> {
  if (!ms || ms >= MS_MAX) return {}
  return { ttl: Math.max(0, Math.ceil(ms)) }
}

/** Of a point of time. */
export function ttlUntil(expires: number | null | undefined, now: number): Pick<SetOptions, 'ttl'> {
  if (typeof expires !== 'number' || Number.isNaN(expires) || expires - now >= MS_MAX) return {}
  return { ttl: Math.max(0, Math.ceil(expires - now)) }
}
