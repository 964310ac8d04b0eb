/**
 * Runs a script of this repository on the newest Node, from the TypeScript sources:
 *   node scripts/on-newest.mjs examples/demo.ts [arguments]
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { environmentFor, newestNode, root } from './lib/nodes.mjs'
import { run } from './lib/steps.mjs'

const [file, ...args] = process.argv.slice(2)
if (file === undefined || !existsSync(join(root, file))) {
  console.error(`There is no ${file ?? 'script of that name'} here.`)
  process.exit(1)
}
const node = newestNode().path
const { code } = await run(node, ['-C', '@ate/source', join(root, file), ...args], { env: environmentFor(node) })
process.exitCode = code
