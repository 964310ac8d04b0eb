/** An error as text that is stored beside an event: what an operator needs, and no more than a line or two. */
import { isAteError } from '@ate/core'

/** Characters. */
const ERROR_LENGTH_MAX = 1000

export function describe(error: unknown): string {
  const text = isAteError(error)
    ? `${error.code}: ${error.message}`
    : error instanceof Error
      ? `${error.name}: ${error.message}`
      : String(error)
  return text.slice(0, ERROR_LENGTH_MAX)
}
