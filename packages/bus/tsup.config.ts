import type { Options } from 'tsup'

// @ate/core stays an import: chains and errors are the same ones in every kit. Types come from tsc.
const options: Options = {
  entry: { index: 'src/index.ts' },
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  external: ['@ate/core'],
  dts: false,
  clean: true,
  sourcemap: true,
}
export default options
