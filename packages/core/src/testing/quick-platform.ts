/** The platform for tests with this machine's own algorithms: fast, but not the same bytes each time. */
import { platform as own } from '#platform'
import { type TestPlatform, type TestPlatformOptions, testPlatform } from './test-platform.ts'

export function quickPlatform(seed: number, options: TestPlatformOptions = {}): TestPlatform {
  return testPlatform(seed, { crypto: own.crypto, ...options })
}
