/** Calls of a service, as functions that are written like its procedures. */
import { AteError } from '../base/errors.ts'
import { Chain } from './chain.ts'
import type { EntityRef } from './entity.ts'
import { Caller, type InvokeOptions } from './service-caller.ts'
import { checkProcedure, checkWith, type ProcedureTypes, type ServiceType, schemasOf } from './service-type.ts'

/** A procedure that takes nothing is called without arguments. */
export type InvokeArguments<I> = undefined extends I
  ? [input?: I, options?: InvokeOptions]
  : [input: I, options?: InvokeOptions]

export type ServiceClient<P extends object> = {
  readonly [K in keyof P]: P[K] extends ProcedureTypes
    ? (...given: InvokeArguments<P[K]['sent']>) => Promise<P[K]['replied']>
    : never
}

type AnyClient = Readonly<Record<string, (input?: unknown, options?: InvokeOptions) => Promise<unknown>>>

/** One for each service of a chain: its desk and its slots are used by all calls of this process. */
const callers = new WeakMap<Chain, Map<string, Caller>>()

/**
 * The procedures of a service. Each call is a request that the service's identities and this one can read, and nobody
 * else; it resolves with the reply of the one instance that answered. If nobody has founded the service yet, it waits.
 *
 * Calls reject with AteError: BAD_VALUE (the input, before anything is written), VALUE_TOO_LARGE, TIMEOUT, NO_SERVICE,
 * NO_PROCEDURE, NOT_AUTHORIZED, ServiceError, HANDLER_FAILED, TOO_MANY_CALLS, CHAIN_CLOSED, or with the signal's reason.
 */
export function invoke<P extends object>(
  chain: Chain,
  type: ServiceType<P>,
  options: { readonly parent?: EntityRef } = {},
): ServiceClient<P> {
  const caller = callerOf(chain, type.name, options.parent)
  const call = (procedure: string) => (input?: unknown, given?: InvokeOptions) =>
    start(caller, type, { procedure, input }, given)
  if (type.schemas) {
    const names = Object.keys(type.schemas)
    return Object.freeze(Object.fromEntries(names.map((name) => [name, call(name)]))) as ServiceClient<P>
  }
  return new Proxy<AnyClient>(Object.freeze({}), {
    // Whoever awaits the client asks it for a `then`, which no service has.
    get: (_, name) => (typeof name === 'string' && name !== 'then' ? call(name) : undefined),
  }) as ServiceClient<P>
}

async function start(
  caller: Caller,
  type: ServiceType<object>,
  { procedure, input }: { readonly procedure: string; readonly input: unknown },
  options: InvokeOptions = {},
): Promise<unknown> {
  checkProcedure(procedure)
  // What the schema makes of it is made where it arrives: made twice, it may be another thing.
  await checkWith(schemasOf(type, procedure)!, 'input', input, { service: type.name, procedure })
  return caller.call(procedure, input, options)
}

function callerOf(chain: Chain, name: string, parent: EntityRef | undefined): Caller {
  const core = Chain.coreOf(chain)
  let known = callers.get(chain)
  if (!known) {
    known = new Map()
    callers.set(chain, known)
  }
  const at = typeof parent === 'object' ? parent.id : parent
  if (at !== undefined && typeof at !== 'string') throw new AteError('BAD_ID', { kind: 'entity', given: typeof at })
  const key = JSON.stringify([name, at])
  let caller = known.get(key)
  if (!caller) {
    caller = new Caller(chain, core, { name, parent })
    known.set(key, caller)
  }
  return caller
}
