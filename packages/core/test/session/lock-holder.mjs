// Holds the lock `identity` of the state in the folder argv[2] until it is killed. Sources are bundled in memory first,
// since older Node does not run TypeScript.
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const { build } = createRequire(import.meta.url)('esbuild')
const bundle = await build({
  entryPoints: [fileURLToPath(new URL('../../src/node/state.ts', import.meta.url))],
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'node',
})
const { nodeState } = await import(
  `data:text/javascript;base64,${Buffer.from(bundle.outputFiles[0].contents).toString('base64')}`
)
const lock = await nodeState(process.argv[2]).lock('identity')
if (!lock) process.exit(3)
process.stdout.write('held\n')
setInterval(() => undefined, 1000)
