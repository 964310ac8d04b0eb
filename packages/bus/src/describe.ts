/** An error as text that is stored beside an event: what an operator needs, and no more than a line or two. */
import { errorText } from '@ate/core'

const ERROR_CHARS_MAX = 1000

export function describe(error: unknown): string {
  return errorText(error, ERROR_CHARS_MAX)
}
