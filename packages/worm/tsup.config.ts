import type { Options } from 'tsup'

// One entry point. Types come from tsc.
const options: Options = {
  entry: { index: 'src/index.ts' },
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  removeNodeProtocol: false,
  dts: false,
  clean: true,
  sourcemap: true,
}
export default options
