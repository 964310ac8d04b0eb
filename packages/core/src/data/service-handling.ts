/** What runs a call: its handler, between the schemas of its procedure. */
import { AteError, isAteError } from '../base/errors.ts'
import type { Fingerprint } from '../base/ids.ts'
import type { Reply, TakenCall } from './service-calls.ts'
import { checkWith, type ProcedureTypes, type ServiceType, schemasOf } from './service-type.ts'
import type { Transaction } from './transaction.ts'

/** What a handler is told of its call. */
export interface ServiceCall {
  readonly id: string
  readonly procedure: string
  /** Who calls, as policies name it: the author of the request, whom everybody who reads the log has checked. */
  readonly caller: Fingerprint
  /** Chain time in Unix ms after which nobody waits for the reply. */
  readonly deadline: number
  /** Aborts when the reply is of no use any more: withdrawn, expired, taken over, or the instance closes. */
  readonly signal: AbortSignal
}

/** The reply, or a function of the transaction that writes it: what that writes commits with the reply, once, or not at all. */
export type HandlerResult<T> = T | ((tx: Transaction) => T | Promise<T>)

export type ServiceHandlers<P extends object> = {
  readonly [K in keyof P]: P[K] extends ProcedureTypes
    ? (
        input: P[K]['received'],
        call: ServiceCall,
      ) => HandlerResult<P[K]['returned']> | Promise<HandlerResult<P[K]['returned']>>
    : never
}

export type AnyHandlers = Readonly<Record<string, (input: unknown, call: ServiceCall) => unknown>>

export type MakeReply = (tx: Transaction) => Reply | Promise<Reply>

/**
 * Runs the handler of a call, or says why not. What comes back makes the reply in the transaction that writes it, and may
 * be run again there. @throws what the handler throws, and BAD_VALUE for an output that its schema refuses
 */
export async function handleCall(
  type: ServiceType<object>,
  handlers: AnyHandlers,
  taken: TakenCall,
  call: ServiceCall,
): Promise<MakeReply> {
  const { procedure } = taken
  const where = { service: type.name, procedure }
  const schemas = schemasOf(type, procedure)
  const handler = Object.hasOwn(handlers, procedure) ? handlers[procedure] : undefined
  if (!taken.mayCall) return () => failed('NOT_AUTHORIZED', { needs: 'to be among the callers' })
  if (!schemas || !handler) return () => failed('NO_PROCEDURE', {})
  let input: unknown
  try {
    input = await checkWith(schemas, 'input', taken.input, where)
  } catch (error) {
    if (!isAteError(error) || error.code !== 'BAD_VALUE') throw error
    return () => failed('BAD_VALUE', textsOf(error.facts))
  }
  const result = await handler(input, call)
  const answered = async (output: unknown): Promise<Reply> => ({
    state: 'answered',
    output: await checkWith(schemas, 'output', output, where),
  })
  if (typeof result === 'function') return async (tx) => answered(await result(tx))
  const reply = await answered(result)
  return () => reply
}

export function checkHandlers(type: ServiceType<object>, handlers: AnyHandlers): AnyHandlers {
  if (typeof handlers !== 'object' || handlers === null)
    throw new AteError('BAD_ARGUMENT', { what: 'handlers by procedure' })
  for (const procedure of Object.keys(type.schemas ?? handlers)) {
    if (typeof handlers[procedure] !== 'function')
      throw new AteError('BAD_ARGUMENT', { what: 'each procedure has a handler', service: type.name, procedure })
  }
  return handlers
}

export function failed(code: string, facts: Readonly<Record<string, string>>): Reply {
  return { state: 'failed', code, facts }
}

/** Where an input fails, and how: what the caller may know of it. */
function textsOf({ path, issue, what }: AteError['facts']): Readonly<Record<string, string>> {
  const given = Object.entries({ path, issue, what })
  return Object.fromEntries(given.flatMap(([name, fact]) => (typeof fact === 'string' ? [[name, fact]] : [])))
}
