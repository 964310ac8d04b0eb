/**
 * The `prepack` script of each package, in whose folder it runs: puts in what npm publishes with it and the repository holds once,
 * the licence texts, and with core the documents that the pages of all packages name.
 */
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import process from 'node:process'
import { root } from './lib/nodes.mjs'

const folder = process.cwd()
for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) copyFileSync(join(root, name), join(folder, name))
if (basename(folder) === 'core') {
  const docs = join(folder, 'docs')
  rmSync(docs, { recursive: true, force: true })
  mkdirSync(docs)
  for (const name of readdirSync(join(root, 'docs')))
    if (name.endsWith('.md')) copyFileSync(join(root, 'docs', name), join(docs, name))
}
