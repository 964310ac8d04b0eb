/** The real clock, randomness and timers of a browser. */
import type { Environment } from '../base/environment.ts'

/** Web Cryptography API: getRandomValues takes at most 65,536 bytes a call. */
const DRAW_BYTES_MAX = 65_536

export function browserEnvironment(): Environment {
  return {
    clock: { now: () => Date.now(), monotonic: () => performance.now() },
    random: {
      fill(bytes) {
        for (let at = 0; at < bytes.length; at += DRAW_BYTES_MAX)
          globalThis.crypto.getRandomValues(bytes.subarray(at, at + DRAW_BYTES_MAX) as Uint8Array<ArrayBuffer>)
      },
    },
    timers: {
      start(delayMs, run) {
        const timer = setTimeout(run, delayMs)
        return { cancel: () => clearTimeout(timer) }
      },
      pause: () => new Promise((resume) => setTimeout(resume, 0)),
    },
  }
}
