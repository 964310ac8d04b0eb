/** Randomness of the machine. */
import type { Makers } from './context.ts'

export const webMakers: Makers = { random: (size) => crypto.getRandomValues(new Uint8Array(size)) }
