/**
 * Tells whether node_modules is what package-lock.json names. It compares the lock with the one that npm leaves inside
 * node_modules, so that it serves whoever installed: `npm ci`, `npm install`, or our set-up. Runs before any install.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Why an install is needed, or undefined if it is not.
 * @param {string} root the folder of package-lock.json
 * @returns {string | undefined}
 */
export function reasonToInstall(root) {
  const installed = join(root, 'node_modules', '.package-lock.json') // npm writes it last: half an install has none
  if (!existsSync(installed)) return 'node_modules is missing'
  const have = JSON.parse(readFileSync(installed, 'utf8')).packages
  const want = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  for (const [path, entry] of Object.entries(want)) {
    // Workspaces are links to their folders; optional packages of other platforms are not installed.
    if (!path.startsWith('node_modules/') || entry.link) continue
    const there = have[path]
    if (there === undefined ? !(entry.optional || entry.devOptional || entry.peer) : there.version !== entry.version) {
      return `${path} is not as package-lock.json says`
    }
  }
  for (const [path, entry] of Object.entries(want)) {
    if (entry.link && !existsSync(join(root, path))) return `${path} is not linked`
  }
  return undefined
}
