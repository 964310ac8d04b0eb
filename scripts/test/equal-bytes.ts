/**
 * Byte arrays are compared as bytes: `toEqual` looks at their elements one by one as at properties of objects, which
 * takes seconds for some hundred kilobytes.
 */
import { expect } from 'vitest'

expect.addEqualityTesters([
  (a: unknown, b: unknown): boolean | undefined => {
    if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return undefined
    // Of two kinds of array, `toStrictEqual` has something to say.
    if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return undefined
    return Buffer.compare(a, b) === 0
  },
])
