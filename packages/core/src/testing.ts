/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/core/testing: contract suites for plug-ins, and a simulated file system, network, clock and randomness. */
export { type ManualClock, manualClock } from './testing/clock.ts'
export { type CryptoSuiteOptions, cryptoSuite, type TestApi, type VectorLoader } from './testing/crypto-suite.ts'
export { type LogHarness, logSuite, type SuiteRunner } from './testing/log-suite.ts'
export { quickPlatform } from './testing/quick-platform.ts'
export { type SeededRandom, seededRandom } from './testing/random.ts'
export { type SimFaults, SimFileSystem } from './testing/sim-file-system.ts'
export { type SimLink, type SimNetwork, type SimNetworkOptions, simNetwork } from './testing/sim-network.ts'
export { type SimTime, simTime } from './testing/sim-time.ts'
export { type SocketHarness, type SocketPair, socketSuite } from './testing/socket-suite.ts'
export { type TestPlatform, type TestPlatformOptions, testPlatform } from './testing/test-platform.ts'
export { type TestWitness, testWitness } from './testing/witness.ts'
