import type { Options } from 'tsup'

// One build for all entry points, so that they share their code. Types come from tsc.
const options: Options = {
  entry: { index: 'src/index.ts', coin: 'src/coin.ts', formats: 'src/formats.ts' },
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  removeNodeProtocol: false,
  dts: false,
  clean: true,
  sourcemap: true,
  splitting: true,
}
export default options
