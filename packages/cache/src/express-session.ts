/**
 * A cache as a store of express-session: `session({ store: sessionStore(session, cache), ... })`. A session lives as long as its
 * cookie says; one without an end lives for `ttl`, counted from its last use.
 */
import { AteError, type Duration, durationMs, objectOf } from '@ate/core'
import type { Cache } from './cache-types.ts'

/** What a session is stored as; `SessionData` of express-session fits. */
export interface StoredSession {
  readonly cookie: { readonly expires?: Date | string | null | undefined; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

type Callback<A extends unknown[] = []> = (error?: unknown, ...result: A) => void

/** What express-session asks of a store. */
export interface SessionStoreMethods<Session> {
  get(sid: string, callback: (error: unknown, session?: Session | null) => void): void
  set(sid: string, session: Session, callback?: Callback): void
  destroy(sid: string, callback?: Callback): void
  /** Whoever calls hears what went wrong, though the type of express-session leaves it out. */
  touch(sid: string, session: Session, callback?: (error?: unknown) => void): void
  all(callback: (error: unknown, sessions?: Record<string, Session> | null) => void): void
  length(callback: (error: unknown, length?: number) => void): void
  clear(callback?: Callback): void
}

export interface SessionStoreOptions {
  /** Of a session whose cookie has no end; a day if left out. */
  readonly ttl?: Duration
}

const DAY_MS = 86_400_000

/**
 * `session` is what the package exports: its Store is what the store has to be made of.
 * @throws AteError BAD_ARGUMENT
 */
export function sessionStore<Base extends abstract new () => object, Session extends object = SessionOf<Base>>(
  session: { readonly Store: Base },
  cache: Cache<unknown>,
  options: SessionStoreOptions = {},
): InstanceType<Base> & SessionStoreMethods<Session> {
  if (typeof session?.Store !== 'function')
    throw new AteError('BAD_ARGUMENT', { what: 'sessionStore takes what express-session exports, and a cache' })
  objectOf(options, 'the options of a session store', { ttl: true })
  const ttlMs = options.ttl === undefined ? DAY_MS : durationMs(options.ttl, 0)
  const made = new (storeClass(session.Store))() as InstanceType<Base> & SessionStoreMethods<Session>
  return Object.assign(made, methods<Session>(cache, ttlMs))
}

/** The session that a store of this kind takes. */
type SessionOf<Base> = Base extends abstract new () => { set(sid: string, session: infer Session): void }
  ? Session & object
  : object

/** A class of its own: the one that is given is abstract. */
function storeClass(Store: abstract new () => object): new () => object {
  return class AteSessionStore extends (Store as new () => object) {}
}

function methods<Session extends object>(cache: Cache<unknown>, ttlMs: number): SessionStoreMethods<Session> {
  // Of the cookie's own clock, which is the one that set it.
  const lifetime = (session: Session): number => {
    const expires = (session as unknown as StoredSession).cookie?.expires
    if (!expires) return ttlMs
    return Math.max(0, Math.ceil(new Date(expires).getTime() - Date.now()))
  }
  return {
    get: (sid, callback) => answer(cache.fetch(sid), (error, found) => callback(error, thawed<Session>(found))),
    set: (sid, session, callback) => answer(cache.set(sid, plainOf(session), { ttl: lifetime(session) }), callback),
    destroy: (sid, callback) => answer(cache.delete(sid), (error) => callback?.(error)),
    touch: (sid, session, callback) =>
      answer(cache.touch(sid, { ttl: lifetime(session) }), (error) => callback?.(error)),
    all: (callback) => answer(allOf<Session>(cache), (error, sessions) => callback(error, sessions)),
    length: (callback) =>
      answer(
        cache.ready.then(() => [...cache.keys()].length),
        (error, length) => callback(error, length),
      ),
    clear: (callback) => answer(cache.clear(), (error) => callback?.(error)),
  }
}

async function allOf<Session>(cache: Cache<unknown>): Promise<Record<string, Session>> {
  await cache.ready
  const sessions: [string, Session][] = []
  for (const sid of cache.keys()) {
    const found = thawed<Session>(await cache.fetch(sid))
    if (found) sessions.push([sid, found])
  }
  return Object.fromEntries(sessions)
}

/** As JSON has it: a session and its cookie are objects of classes of their own. */
function plainOf(session: object): StoredSession {
  return JSON.parse(JSON.stringify(session)) as StoredSession
}

/** Whoever takes a session changes it: each gets his own. */
function thawed<Session>(found: unknown): Session | null {
  return found === undefined ? null : (structuredClone(found) as Session)
}

/** A later turn calls back: what the callback throws is its own. */
function answer<R>(promise: Promise<R>, callback: ((error: unknown, result?: R) => void) | undefined): void {
  promise.then(
    (result) => queueMicrotask(() => callback?.(null, result)),
    (error: unknown) => queueMicrotask(() => callback?.(error)),
  )
}
