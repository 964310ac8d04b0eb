/** Options of callers, checked where they come in: a name of another library, or a slip, is not passed over. */
import { AteError } from './errors.ts'

/** Each name of the options `T`: a new one that is not listed does not compile. */
export type OptionNames<T> = { readonly [K in keyof Required<NonNullable<T>>]: true }

/**
 * Options as they were given. `known`: the names that they may have; without it any.
 * @throws AteError BAD_ARGUMENT for what is no object, and for a name that is not known
 */
export function objectOf<T extends object | undefined>(value: T, what = 'options', known?: OptionNames<T>): T {
  if (value === undefined) return value
  if (typeof value !== 'object' || value === null) throw refused(`${what}: an object`, value)
  if (!known) return value
  for (const name in value) {
    if (!Object.hasOwn(known, name)) throw refused(`${what} are ${Object.keys(known).join(', ')}`, name)
  }
  return value
}

function refused(what: string, given: unknown): AteError {
  return new AteError('BAD_ARGUMENT', { what, given: String(given).slice(0, 60) })
}
