/**
 * Installs the peers into bench/peers/node_modules with `npm ci`, from the lock there, without install scripts (all of
 * them ship prebuilt binaries). Skipped when what is installed is at least as new as the lock.
 */
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('./peers', import.meta.url))

export function installPeers(): void {
  const installed = changedMs('node_modules/.package-lock.json')
  if (installed >= changedMs('package-lock.json')) return
  console.log('installing the peers into bench/peers (once)')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const { status, stderr, error } = spawnSync(npm, ['ci', '--no-workspaces'], {
    cwd: FOLDER,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  const line = error?.message ?? stderr.split('\n').find((text) => text.includes('error')) ?? `npm ended with ${status}`
  console.log(`the peers could not be installed and are left out: ${line.trim()}`)
}

function changedMs(file: string): number {
  return statSync(`${FOLDER}/${file}`, { throwIfNoEntry: false })?.mtimeMs ?? -1
}
