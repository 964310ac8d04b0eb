import type { Options } from 'tsup'

// One build for all entry points, so that what they share (the error class, for one) is one chunk. `#platform`, `#large` and `#text-part`
// stay as they are: the `imports` of package.json let the bundler or Node choose the face. Types come from tsc.
const options: Options = {
  entry: {
    index: 'src/index.ts',
    server: 'src/server.ts',
    testing: 'src/testing.ts',
    'platform-node': 'src/node/platform.ts',
    'platform-browser': 'src/browser/platform.ts',
    'large-bodies': 'src/chain/large-bodies.ts',
    'large-nothing': 'src/chain/large-nothing.ts',
    'text-part': 'src/base/text-part.ts',
    'text-nothing': 'src/base/text-nothing.ts',
  },
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  external: ['#platform', '#large', '#text-part', /^node:/],
  removeNodeProtocol: false,
  dts: false,
  clean: true,
  sourcemap: true,
  splitting: true,
}
export default options
