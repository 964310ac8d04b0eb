/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/cache: a distributed cache that is read at the speed of memory. The public names, listed by hand. */
import type { Chain, StandardSchema } from '@ate/core'
import { openCache } from './cache.ts'
import type { Cache, CacheOptions } from './cache-types.ts'
import { type CacheEnvironment, ownEnvironment } from './environment.ts'

type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']
type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

/**
 * The cache of a name on a chain, made when it is first used. Handles of one process share what they know. Bounds are
 * stored, and the same for all: others than those are CACHE_MISMATCH, which `ready` and every call tells.
 * @throws AteError BAD_ARGUMENT | CACHE_MISMATCH, if another handle of this process has other bounds
 */
export function cache<S extends StandardSchema>(
  chain: Chain,
  name: string,
  options: CacheOptions & {
    /** Checks values when they are written and when they are read; synchronous. */
    readonly value: S
  },
  environment?: CacheEnvironment,
): Cache<OutputOf<S>, InputOf<S>>
export function cache<V = unknown>(
  chain: Chain,
  name: string,
  options?: CacheOptions,
  environment?: CacheEnvironment,
): Cache<V>
export function cache<V>(
  chain: Chain,
  name: string,
  options: CacheOptions & { readonly value?: StandardSchema } = {},
  environment: CacheEnvironment = ownEnvironment,
): Cache<V> {
  return openCache<V, V>(chain, name, options, environment)
}

export {
  AteError,
  type Chain,
  createIdentity,
  type Duration,
  defineType,
  type Identity,
  isAteError,
  openChain,
  openIdentity,
  type StandardSchema,
  type Transaction,
  type TxTarget,
} from '@ate/core'
export type { BoundsOptions, LifetimeOptions } from './cache-rules.ts'
export type {
  Cache,
  CacheChange,
  CacheObservation,
  CacheObserver,
  CacheOptions,
  CacheStats,
  Entry,
  InvalidateOptions,
  LoadContext,
  Loader,
  LoadOptions,
  Lock,
  LockOptions,
  SetOptions,
  SignalOptions,
  WriteOptions,
  Written,
} from './cache-types.ts'
export { cacheNames } from './caches.ts'
export type { CacheEnvironment } from './environment.ts'
export type { CacheErrorCode } from './errors.ts'
