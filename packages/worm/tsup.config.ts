import type { Options } from 'tsup'

// The archive, and time stamps of X.509 authorities apart. Types come from tsc.
const options: Options = {
  entry: { index: 'src/index.ts', rfc3161: 'src/rfc3161.ts' },
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  removeNodeProtocol: false,
  dts: false,
  clean: true,
  sourcemap: true,
}
export default options
