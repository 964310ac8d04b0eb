/**
 * Makes a fresh clone ready: installs what package-lock.json names if node_modules is missing or differs from it.
 * Every npm script begins here, so that no other step comes before it. Plain Node 20.19 without dependencies, writes
 * nothing outside this folder but npm's own cache.
 */
import { spawn } from 'node:child_process'
import process from 'node:process'
import { reasonToInstall } from './lib/install.mjs'
import { atLeast, OLDEST, root } from './lib/nodes.mjs'

const HEARTBEAT_MS = 10_000 // npm draws its bar on a terminal only; elsewhere a line now and then says that it lives

/** Runs `npm ci`; lifecycle scripts stay off: no package here needs one. Resolves with its exit code. */
function install() {
  const args = ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund']
  const cli = process.env.npm_execpath
  const [program, first] = cli?.endsWith('.js') ? [process.execPath, [cli]] : ['npm', []]
  return new Promise((done) => {
    const child = spawn(program, [...first, ...args], {
      cwd: root,
      stdio: 'inherit',
      shell: program === 'npm' && process.platform === 'win32',
    })
    child.on('error', (error) => {
      console.error(String(error))
      done(1)
    })
    child.on('exit', (code) => done(code ?? 1))
  })
}

if (!atLeast(process.version, OLDEST)) {
  console.error(`This needs Node ${OLDEST.join('.')} or newer; this is ${process.version}.`)
  process.exit(1)
}
const reason = reasonToInstall(root)
if (reason !== undefined) {
  const start = performance.now()
  const seconds = () => ((performance.now() - start) / 1000).toFixed(0)
  console.log(`Set-up: ${reason}; installing what package-lock.json names into node_modules ...`)
  const beat = process.stdout.isTTY
    ? undefined
    : setInterval(() => console.log(`Set-up: still installing, ${seconds()} s`), HEARTBEAT_MS)
  const code = await install()
  clearInterval(beat)
  if (code !== 0) {
    console.error(`Set-up: npm ci failed after ${seconds()} s.`)
    process.exit(code)
  }
  console.log(`Set-up: done in ${seconds()} s.`)
}
