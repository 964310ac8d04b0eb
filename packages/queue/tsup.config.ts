import type { Options } from 'tsup'

// Types come from tsc.
const options: Options = {
  entry: { index: 'src/index.ts' },
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  external: ['@ate/core', 'croner'],
  dts: false,
  clean: true,
  sourcemap: true,
}
export default options
