/**
 * The packages of this repository that are published, in the order of their folders.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './nodes.mjs'

/**
 * @typedef {{ folder: string, path: string, manifest: any }} Workspace `folder` such as core, `path` absolute
 * @returns {Workspace[]}
 */
export function publishedPackages() {
  return readdirSync(join(root, 'packages'))
    .sort()
    .map((folder) => ({ folder, path: join(root, 'packages', folder) }))
    .filter(({ path }) => existsSync(join(path, 'package.json')))
    .map((entry) => ({ ...entry, manifest: JSON.parse(readFileSync(join(entry.path, 'package.json'), 'utf8')) }))
    .filter(({ manifest }) => !manifest.private)
}

/**
 * The entry points of a package: subpath to source file, as the source condition says.
 * @param {Workspace} workspace
 * @returns {[subpath: string, source: string][]}
 */
export function sourceEntries(workspace) {
  return Object.entries(workspace.manifest.exports ?? {})
    .filter(([, target]) => typeof target === 'object' && target !== null && '@ate/source' in target)
    .map(([subpath, target]) => [subpath, join(workspace.path, target['@ate/source'])])
}

/**
 * What a user may import of a package: @ate/core, @ate/core/testing.
 * @param {Workspace} workspace
 * @returns {string[]}
 */
export function entryNames({ manifest }) {
  return Object.keys(manifest.exports ?? {})
    .filter((subpath) => !subpath.endsWith('.json'))
    .map((subpath) => manifest.name + subpath.slice(1))
}
