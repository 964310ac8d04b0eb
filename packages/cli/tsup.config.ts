import type { Options } from 'tsup'

// The command `ate`: src/ate.ts opens with `#!/usr/bin/env node`, which tsup keeps and makes executable.
const options: Options = {
  entry: { ate: 'src/ate.ts' },
  format: ['esm'],
  target: 'es2022',
  platform: 'node',
  removeNodeProtocol: false,
  dts: false,
  clean: true,
  sourcemap: true,
}
export default options
