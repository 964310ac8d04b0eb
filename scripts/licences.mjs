/**
 * Puts both licence texts into the package in the current folder: its `prepack` script, so that what npm publishes
 * holds them and the repository holds them once.
 */
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { root } from './lib/nodes.mjs'

for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) copyFileSync(join(root, name), join(process.cwd(), name))
