/**
 * Declarations of services: the procedures of one, and the types of what goes there and back. An input is checked where
 * it is sent, so that a mistake writes nothing, and where it is received, because who sends may be anybody; what the
 * schema makes of it is made once, where it is received. An output is checked, and made, where it is sent.
 */
import { AteError, isAteError } from '../base/errors.ts'
import { SERVICE_REASON_MAX, SERVICE_TEXT_MAX } from '../base/limits.ts'
import { checkName } from './entity-type.ts'
import type { InputOf, OutputOf, StandardSchema } from './standard-schema.ts'

/** Any Standard Schema library; here schemas may be asynchronous. Without `input` a procedure takes nothing, without `output` it gives nothing. */
export interface ProcedureSchemas {
  readonly input?: StandardSchema
  readonly output?: StandardSchema
}

/** What a caller sends, what a handler receives of it, what the handler returns, and what the caller gets. */
export interface ProcedureTypes {
  readonly sent: unknown
  readonly received: unknown
  readonly returned: unknown
  readonly replied: unknown
}

export interface ServiceType<P extends object> {
  readonly name: string
  /** By procedure; undefined if the service was declared by types alone. */
  readonly schemas: Readonly<Record<string, ProcedureSchemas>> | undefined
  /** Never there: carries the types. */
  readonly types?: P
}

/** What a function gives that returns nothing. */
type Nothing = ReturnType<() => void>

/** The types of procedures that schemas describe. */
export type FromSchemas<D> = {
  readonly [K in keyof D]: {
    readonly sent: D[K] extends { readonly input: infer S extends StandardSchema } ? InputOf<S> : undefined
    readonly received: D[K] extends { readonly input: infer S extends StandardSchema } ? OutputOf<S> : undefined
    readonly returned: D[K] extends { readonly output: infer S extends StandardSchema } ? InputOf<S> : Nothing
    readonly replied: D[K] extends { readonly output: infer S extends StandardSchema } ? OutputOf<S> : undefined
  }
}

/** The types of procedures that are given as functions of one argument. */
export type FromFunctions<F> = {
  readonly [K in keyof F]: F[K] extends (...given: infer A) => infer R
    ? {
        readonly sent: A extends readonly [] ? undefined : A[0]
        readonly received: A extends readonly [] ? undefined : A[0]
        readonly returned: Awaited<R>
        readonly replied: Awaited<R>
      }
    : never
}

/**
 * Declares a service by the schemas of its procedures, or, without checks at run time, by their types:
 * `defineService<{ greet: (input: { name: string }) => { text: string } }>('greeter')`.
 * @throws AteError BAD_ARGUMENT | RESERVED_NAME
 */
export function defineService<D extends Readonly<Record<string, ProcedureSchemas>>>(
  name: string,
  procedures: D,
): ServiceType<FromSchemas<D>>
export function defineService<F extends object>(name: string): ServiceType<FromFunctions<F>>
export function defineService<P extends object>(
  name: string,
  procedures?: Readonly<Record<string, ProcedureSchemas>>,
): ServiceType<P> {
  checkName(name, 'service')
  for (const [procedure, schemas] of Object.entries(procedures ?? {})) {
    checkProcedure(procedure)
    if (typeof schemas !== 'object' || schemas === null)
      throw new AteError('BAD_ARGUMENT', {
        what: 'a procedure is { input?, output? }, each a Standard Schema',
        procedure,
      })
    for (const side of ['input', 'output'] as const) checkSchema(schemas[side], procedure, side)
  }
  const schemas = procedures && Object.freeze({ ...procedures })
  return Object.freeze({ name, schemas })
}

/** @throws AteError BAD_ARGUMENT */
export function checkProcedure(name: unknown): asserts name is string {
  checkName(name, 'procedure')
  // An object with a `then` is taken for a promise wherever it is awaited.
  if (name === 'then') throw new AteError('BAD_ARGUMENT', { what: 'a procedure is not called then' })
}

function checkSchema(schema: unknown, procedure: string, side: string): void {
  if (schema === undefined) return
  const isSchema = (typeof schema === 'object' || typeof schema === 'function') && schema !== null
  if (!isSchema || !('~standard' in schema))
    throw new AteError('BAD_ARGUMENT', { what: `${side} of a procedure is a Standard Schema`, procedure })
}

/** The schemas of a procedure; undefined if the service has no such procedure. Without schemas any name will do. */
export function schemasOf(type: ServiceType<object>, procedure: string): ProcedureSchemas | 'unchecked' | undefined {
  if (!type.schemas) return 'unchecked'
  return Object.hasOwn(type.schemas, procedure) ? type.schemas[procedure] : undefined
}

/**
 * What the schema makes of a value.
 * @throws AteError BAD_VALUE with the path and message of the first issue
 */
export async function checkWith(
  schemas: ProcedureSchemas | 'unchecked',
  side: 'input' | 'output',
  value: unknown,
  where: { readonly service: string; readonly procedure: string },
): Promise<unknown> {
  if (schemas === 'unchecked') return value
  const schema = schemas[side]
  if (!schema) {
    if (value === undefined) return undefined
    throw new AteError('BAD_VALUE', { ...where, what: `the procedure has no ${side}` })
  }
  const result = await schema['~standard'].validate(value)
  if (!result.issues) return result.value
  const issue = result.issues[0]
  const path = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  throw new AteError('BAD_VALUE', { ...where, path, issue: issue?.message?.slice(0, SERVICE_TEXT_MAX) })
}

/**
 * What a handler throws to tell its caller why: a reason that programs compare (1 to 64 characters), and a text for
 * people (at most 1,024). Nothing else of what a handler throws reaches the caller.
 */
export class ServiceError extends AteError {
  readonly reason: string
  readonly text: string

  constructor(reason: string, text = '', facts: Readonly<Record<string, string>> = {}) {
    if (typeof reason !== 'string' || reason === '' || reason.length > SERVICE_REASON_MAX || typeof text !== 'string')
      throw new AteError('BAD_ARGUMENT', { what: `a reason has 1 to ${SERVICE_REASON_MAX} characters` })
    const cut = text.slice(0, SERVICE_TEXT_MAX)
    super('SERVICE_ERROR', { reason, ...(cut === '' ? {} : { text: cut }), ...facts })
    this.reason = reason
    this.text = cut
  }
}

/** True for a ServiceError of any copy of this package. */
export function isServiceError(error: unknown): error is ServiceError {
  return isAteError(error) && error.code === 'SERVICE_ERROR'
}
