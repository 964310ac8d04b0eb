/** What the tests of crypto share: the vectors' folder, seeded randomness, all providers. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Randomness } from '../../src/base/environment.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import type { CryptoSuiteOptions, TestApi, VectorLoader } from '../../src/testing/crypto-suite.ts'

export const runner: TestApi = { describe, it, expect }

const folder = process.env['ATE_VECTORS'] ?? resolve(import.meta.dirname, '../../../../../shared/vectors')

/** Undefined, and one line printed, where the folder is absent. */
export function vectorLoader(): VectorLoader | undefined {
  if (!existsSync(folder)) {
    say('no folder of test vectors (ATE_VECTORS): the tests on vectors are not run')
    return undefined
  }
  return (name) => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'))
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** A stream of bytes that a seed repeats. */
export function seeded(seed: number): Randomness {
  let counter = 0
  return {
    fill(bytes) {
      const info = new Uint8Array(8)
      new DataView(info.buffer).setUint32(0, seed)
      for (let at = 0; at < bytes.length; at += 32) {
        new DataView(info.buffer).setUint32(4, counter++)
        bytes.set(nobleProvider.sha256(info).subarray(0, Math.min(32, bytes.length - at)), at)
      }
    },
  }
}

export function suiteOptions(): CryptoSuiteOptions {
  const seed = Number(process.env['ATE_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
  say(`ATE_SEED=${seed}`)
  const vectors = vectorLoader()
  return { random: seeded(seed), say, ...(vectors && { vectors }) }
}
