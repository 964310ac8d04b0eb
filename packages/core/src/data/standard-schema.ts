/** The types of Standard Schema 1 (standardschema.dev), copied so that no package is needed for them; and how one is asked. */
import { AteError } from '../base/errors.ts'

export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
      }[]
    }

export type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

export type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']

/**
 * The value as its schema gives it, at once. `where` says what was checked, for the error.
 * @throws AteError BAD_VALUE with the first issue's path and message | BAD_ARGUMENT if the schema answers later
 */
export function validated<T>(schema: StandardSchema<unknown, T>, value: unknown, where: string): T {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise)
    throw new AteError('BAD_ARGUMENT', { what: 'a schema must be synchronous here', where })
  if (!result.issues) return result.value
  const issue = result.issues[0]
  const path = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  throw new AteError('BAD_VALUE', { where, path, issue: issue?.message, issues: result.issues.length })
}
