/** Values against a Standard Schema; synchronous ones only, as everywhere. */
import { AteError, type StandardSchema } from '@ate/core'

/** @throws AteError BAD_VALUE with the first issue's path and message */
export function validated<T>(schema: StandardSchema<unknown, T>, value: unknown, where: string): T {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise)
    throw new AteError('BAD_ARGUMENT', { what: 'the schema of a queue must be synchronous', where })
  if (!result.issues) return result.value
  const issue = result.issues[0]
  const path = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  throw new AteError('BAD_VALUE', { where, path, issue: issue?.message, issues: result.issues.length })
}
