/** The files of the page: bundled for browsers, and held in memory. What only some pages need is in files of its own. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build } from 'esbuild'

export interface PageFile {
  readonly type: string
  readonly bytes: Uint8Array
}

/** By their paths. */
export async function pageFiles(): Promise<ReadonlyMap<string, PageFile>> {
  const files = new Map<string, PageFile>([
    ...(await scripts('page.ts', { splitting: true })),
    ['/', { type: 'text/html', bytes: await readFile(here('index.html')) }],
    ['/page.css', { type: 'text/css', bytes: await readFile(here('../page.css')) }],
    ['/style.css', { type: 'text/css', bytes: await readFile(here('style.css')) }],
  ])
  const hash = createHash('sha256')
  for (const [path, { bytes }] of files) hash.update(path).update(bytes)
  const define = { FILES: JSON.stringify([...files.keys()]), BUILD: JSON.stringify(hash.digest('hex')) }
  return new Map([...files, ...(await scripts('service-worker.js', { define }))])
}

async function scripts(entry: string, options: BuildOptions): Promise<(readonly [string, PageFile])[]> {
  const { outputFiles = [] } = await build({
    entryPoints: [here(entry)],
    outdir: here('out'),
    write: false,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // As Node has found @ate/core: its sources in a clone, or the package.
    conditions: import.meta.resolve('@ate/core').endsWith('.ts') ? ['@ate/source'] : [],
    logLevel: 'error',
    ...options,
  })
  return outputFiles.map(({ path, contents }) => [`/${basename(path)}`, { type: 'text/javascript', bytes: contents }])
}

function here(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}
