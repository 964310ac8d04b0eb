/** Shapes of records, as Standard Schemas: what other members wrote is parsed before it is used. */
import type { StandardSchema } from '@ate/core'

/** Gives the value, or throws an Error that says what is wrong. */
export type Parse<T> = (value: unknown) => T

/** Bytes of UTF-8 that a text may have where nothing else is said. */
const TEXT_MAX = 1024

export function text(max: number = TEXT_MAX): Parse<string> {
  return (value) => {
    if (typeof value !== 'string' || value.length > max) throw new Error('is no text of its length')
    return value
  }
}

export function whole(): Parse<number> {
  return (value) => {
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Error('is no whole number')
    return value as number
  }
}

/** Of that size, or of any. */
export function bytes(size?: number): Parse<Uint8Array> {
  return (value) => {
    if (!(value instanceof Uint8Array) || (size !== undefined && value.length !== size))
      throw new Error('are no such bytes')
    return value
  }
}

export function list<T>(item: Parse<T>, max: number): Parse<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value) || value.length > max) throw new Error(`is no list of at most ${max}`)
    return value.map(item)
  }
}

/** Fields that are not named are an error: nothing unknown is carried along. */
export function record<T>(
  fields: { readonly [K in keyof T]-?: Parse<NonNullable<T[K]>> },
  optional: readonly (keyof T & string)[] = [],
): Parse<T> {
  const parts = Object.entries<Parse<unknown>>(fields).map(([name, parse]) => ({
    name,
    parse,
    isOptional: (optional as readonly string[]).includes(name),
  }))
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('is no record')
    const given = value as Record<string, unknown>
    const made: Record<string, unknown> = {}
    for (const name in given) if (!Object.hasOwn(fields, name)) throw new Error('has an unknown field')
    for (const { name, parse, isOptional } of parts) {
      const field = given[name]
      if (field !== undefined || !isOptional) made[name] = parse(field)
    }
    return made as T
  }
}

export function schemaOf<T>(parse: Parse<T>): StandardSchema<unknown, T> {
  return {
    '~standard': {
      version: 1,
      vendor: 'ate',
      validate: (value) => {
        try {
          return { value: parse(value) }
        } catch (error) {
          return { issues: [{ message: error instanceof Error ? error.message : 'has a wrong shape' }] }
        }
      },
    },
  }
}
