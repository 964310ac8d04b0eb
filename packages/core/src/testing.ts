/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/core/testing: contract suites for plug-ins, and a simulated file system, clock and randomness. */
export { type ManualClock, manualClock } from './testing/clock.ts'
export { cryptoSuite } from './testing/crypto-suite.ts'
export { logSuite } from './testing/log-suite.ts'
export { type SeededRandom, seededRandom } from './testing/random.ts'
export { SimFileSystem } from './testing/sim-file-system.ts'
