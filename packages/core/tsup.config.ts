import type { Options } from 'tsup'

// One build for all entry points, so that what they share (the error class, for one) is one chunk. `#platform`, `#decode` and `#large` stay as
// they are: the `imports` of package.json let the bundler or Node choose the face. Types come from tsc.
const options: Options = {
  entry: {
    index: 'src/index.ts',
    server: 'src/server.ts',
    testing: 'src/testing.ts',
    'platform-node': 'src/node/platform.ts',
    'platform-browser': 'src/browser/platform.ts',
    'decode-fast': 'src/codec/decode-fast.ts',
    'decode-small': 'src/codec/decode-small.ts',
    'large-bodies': 'src/chain/large-bodies.ts',
    'large-nothing': 'src/chain/large-nothing.ts',
  },
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  external: ['#platform', '#decode', '#large', /^node:/],
  removeNodeProtocol: false,
  dts: false,
  clean: true,
  sourcemap: true,
  splitting: true,
}
export default options
