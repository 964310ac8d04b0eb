/** Which options there are: a misspelt `ttl` or `if` is refused, not passed over. */
import type { Duration, OptionNames, StandardSchema } from '@ate/core'
import type { BoundsOptions, LifetimeOptions } from './cache-rules.ts'
import type {
  CacheOptions,
  InvalidateOptions,
  LoadOptions,
  LockOptions,
  SetOptions,
  SignalOptions,
  WriteOptions,
} from './cache-types.ts'

const lifetime: OptionNames<LifetimeOptions> = { ttl: true, swr: true, staleIfError: true, sliding: true }
const bounds: OptionNames<BoundsOptions> = { max: true, maxBytes: true }
const write: OptionNames<WriteOptions> = { tx: true }

export const NAMES: {
  readonly bounds: OptionNames<BoundsOptions>
  readonly cache: OptionNames<CacheOptions & { readonly value?: StandardSchema }>
  readonly write: OptionNames<WriteOptions>
  readonly set: OptionNames<SetOptions>
  readonly load: OptionNames<LoadOptions>
  readonly touch: OptionNames<{ readonly ttl?: Duration } & WriteOptions>
  readonly incr: OptionNames<{ readonly ttl?: Duration }>
  readonly lock: OptionNames<LockOptions>
  readonly invalidate: OptionNames<InvalidateOptions>
  readonly watch: OptionNames<{ readonly prefix?: string } & SignalOptions>
} = {
  bounds,
  cache: { ...lifetime, ...bounds, negativeTtl: true, memory: true, access: true, observe: true, value: true },
  write,
  set: { ...lifetime, ...write, tags: true, if: true },
  load: { ...lifetime, tags: true, negativeTtl: true, timeout: true, flight: true, fresh: true, signal: true },
  touch: { ...write, ttl: true },
  incr: { ttl: true },
  lock: { ttl: true, wait: true, signal: true },
  invalidate: { ...write, tags: true, prefix: true },
  watch: { prefix: true, signal: true },
}
