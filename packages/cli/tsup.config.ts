import type { Options } from 'tsup'

// The commands `ate` and `atedb`: their files open with `#!/usr/bin/env node`, which tsup keeps and makes executable.
const options: Options = {
  entry: { ate: 'src/ate.ts', atedb: 'src/atedb.ts' },
  format: ['esm'],
  target: 'es2022',
  platform: 'node',
  removeNodeProtocol: false,
  dts: false,
  clean: true,
  sourcemap: true,
}
export default options
