/**
 * Programs of the sources in few files, for tests that start many processes: two thirds of what a short process takes
 * is to find its modules, to take the types out of them and to compile them.
 */
import { existsSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { type BuildOptions, build } from 'esbuild'

const root: string = resolve(import.meta.dirname, '../..')

/** Bundles `entries` (sources) into `folder`, which is made. */
export async function bundle(folder: string, entries: Pick<BuildOptions, 'entryPoints' | 'stdin'>): Promise<void> {
  await build({
    ...entries,
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node26',
    conditions: ['@ate/source'],
    // For packages that are not ES modules.
    banner: { js: "import { createRequire as __make } from 'node:module'\nconst require = __make(import.meta.url)" },
    outExtension: { '.js': '.mjs' },
    logLevel: 'warning',
  })
}

/** For a bundle in `folder`: a server reads its version from the package. */
export function linkModules(folder: string): void {
  try {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error
  }
}

/** As `bundle`, once for all processes that ask for `folder`; the one that is first makes it. */
export async function bundledOnce(folder: string, entries: Pick<BuildOptions, 'entryPoints'>): Promise<void> {
  if (existsSync(folder)) return
  linkModules(dirname(folder))
  const own = mkdtempSync(`${folder}-`)
  await bundle(join(own, basename(folder)), entries)
  try {
    renameSync(join(own, basename(folder)), folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
  }
  rmSync(own, { recursive: true, force: true })
}
