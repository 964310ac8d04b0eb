/** The files of the page: bundled for browsers, and held in memory. What only some pages need is in files of its own. */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export interface PageFile {
  readonly type: string
  readonly bytes: Uint8Array
}

/** By their paths. */
export async function pageFiles(): Promise<ReadonlyMap<string, PageFile>> {
  const { outputFiles } = await build({
    entryPoints: [here('page.ts')],
    outdir: here('out'),
    write: false,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // As Node has found @ate/core: its sources in a clone, or the package.
    conditions: import.meta.resolve('@ate/core').endsWith('.ts') ? ['@ate/source'] : [],
    logLevel: 'error',
  })
  const scripts = outputFiles.map(
    ({ path, contents }) => [`/${basename(path)}`, { type: 'text/javascript', bytes: contents }] as const,
  )
  return new Map<string, PageFile>([
    ...scripts,
    ['/', { type: 'text/html', bytes: await readFile(here('index.html')) }],
    ['/style.css', { type: 'text/css', bytes: await readFile(here('style.css')) }],
  ])
}

function here(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}
