import type { Options } from 'tsup'

const ADAPTERS = ['keyv', 'cache-manager', 'unstorage', 'express-session', 'next']

// Types come from tsc.
const options: Options = {
  entry: { index: 'src/index.ts', ...Object.fromEntries(ADAPTERS.map((name) => [name, `src/${name}.ts`])) },
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  external: ['@ate/core'],
  dts: false,
  clean: true,
  sourcemap: true,
}
export default options
