/**
 * Runs every examples/*.ts twice and compares what it prints with the comment block at its end:
 *
 *   // Output:
 *   // Hello, <name>
 *
 * where `<...>` stands for any text within a line. Once from the sources on the newest Node; once against the packed
 * package on the system's Node, its types stripped, in a folder that holds nothing but what npm would have installed.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import process from 'node:process'
import { difference } from './expected-output.mjs'
import { environmentFor, root } from './nodes.mjs'
import { npm, run, secondsSince } from './steps.mjs'
import { entryNames, publishedPackages } from './workspaces.mjs'

const TIMEOUT_MS = 60_000

/**
 * @typedef {{ path: string, version: string }} Node
 * @param {{ newest: Node, system: Node, scratch: string }} options `scratch` is a folder that the caller removes
 * @returns {Promise<{ passed: number, failed: number }>}
 */
export async function runExamples({ newest, system, scratch }) {
  const folder = join(root, 'examples')
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.ts'))
    .sort()
  const results = []
  if (files.length > 0) console.log(`\n-- examples from the sources on Node ${newest.version}`)
  for (const name of files) {
    const command = ['-C', '@ate/source', join(folder, name)]
    results.push(await runExample(join(folder, name), newest, command, scratch))
  }
  console.log(`\n-- the packed package on Node ${system.version}`)
  const place = await installPacked(newest, scratch)
  if (place === undefined) return { passed: count(results, true), failed: count(results, false) + 1 }
  results.push(await runProbe(place, system))
  for (const name of files) {
    const target = join(place, name.replace(/\.ts$/, '.mjs'))
    writeFileSync(target, await stripTypes(readFileSync(join(folder, name), 'utf8')))
    results.push(await runExample(join(folder, name), system, [target], scratch))
  }
  return { passed: count(results, true), failed: count(results, false) }
}

/**
 * @param {boolean[]} results
 * @param {boolean} value
 */
function count(results, value) {
  return results.filter((result) => result === value).length
}

/** The whole of ES2022 with types removed and `await using` lowered, imports as they are. @param {string} source */
async function stripTypes(source) {
  const { transform } = await import('esbuild')
  const { code } = await transform(source, { loader: 'ts', format: 'esm', target: 'node20.19' })
  return code
}

/**
 * @param {string} file
 * @param {Node} node
 * @param {string[]} command arguments of node
 * @param {string} scratch
 */
async function runExample(file, node, command, scratch) {
  const begin = performance.now()
  const cwd = mkdtempSync(join(scratch, 'cwd-'))
  const env = environmentFor(node.path, { ATE_HOME: join(cwd, 'home'), NODE_OPTIONS: undefined })
  const work = join(cwd, 'work')
  mkdirSync(work)
  const result = await run(node.path, command, { cwd: work, env, quiet: true, timeoutMs: TIMEOUT_MS })
  const problem = result.code === 0 ? difference(result.stdout, readFileSync(file, 'utf8')) : `exit code ${result.code}`
  console.log(`${problem === undefined ? 'ok    ' : 'FAILED'} examples/${basename(file)} (${secondsSince(begin)})`)
  if (problem !== undefined) console.log(`${problem}\n--- printed\n${result.stdout}--- errors\n${result.stderr}---`)
  return problem === undefined
}

/**
 * Builds and packs what is published, and lays it out as npm would: the packages' own files, and links to exactly the
 * dependencies that they name, so that an undeclared one is not found. No network. Undefined if it failed.
 * @param {Node} newest
 * @param {string} scratch
 */
async function installPacked(newest, scratch) {
  const begin = performance.now()
  const place = mkdtempSync(join(scratch, 'packed-'))
  const env = environmentFor(newest.path)
  const steps = [
    [
      join(root, 'node_modules', 'turbo', 'bin', 'turbo'),
      'run',
      'build',
      '--filter=./packages/*',
      '--output-logs=errors-only',
    ],
  ]
  for (const step of steps) {
    const built = await run(newest.path, step, { env, quiet: true })
    if (built.code !== 0) return fail('the build', built)
  }
  for (const workspace of publishedPackages()) {
    const packed = await npm(['pack', '--json', '--pack-destination', scratch], workspace.path, env)
    if (packed.code !== 0) return fail(`npm pack of ${workspace.manifest.name}`, packed)
    const target = join(place, 'node_modules', ...workspace.manifest.name.split('/'))
    mkdirSync(target, { recursive: true })
    const tarball = join(scratch, tarballName(workspace.manifest))
    const unpacked = await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', target], { quiet: true })
    if (unpacked.code !== 0) return fail(`unpacking ${tarball}`, unpacked)
    linkDependencies(workspace, place)
  }
  // Examples may use zod for their schemas; it is theirs, not ours.
  link(join(root, 'package.json'), 'zod', place)
  writeFileSync(join(place, 'package.json'), '{ "type": "module" }\n')
  console.log(`ok     build and npm pack (${secondsSince(begin)})`)
  return place
}

/** @param {{ name: string, version: string }} manifest */
function tarballName({ name, version }) {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`
}

/**
 * @param {string} what
 * @param {{ stdout: string, stderr: string }} result
 */
function fail(what, result) {
  console.log(`FAILED ${what}\n${result.stdout}${result.stderr}`)
  return undefined
}

/**
 * @param {import('./workspaces.mjs').Workspace} workspace
 * @param {string} place
 */
function linkDependencies(workspace, place) {
  const names = Object.keys(workspace.manifest.dependencies ?? {})
  for (const name of names.filter((name) => !name.startsWith('@ate/'))) {
    link(join(workspace.path, 'package.json'), name, place)
  }
}

/**
 * @param {string} from a package.json, where the name is looked up
 * @param {string} name
 * @param {string} place
 */
function link(from, name, place) {
  const target = join(place, 'node_modules', ...name.split('/'))
  if (existsSync(target)) return
  const found = (createRequire(from).resolve.paths(name) ?? [])
    .map((path) => join(path, name))
    .find((path) => existsSync(path))
  if (found === undefined) throw new Error(`${name} is not installed`)
  mkdirSync(dirname(target), { recursive: true })
  if (process.platform === 'win32') cpSync(found, target, { recursive: true })
  else symlinkSync(found, target)
}

/**
 * The packed entry points load with `import` and with `require`, and give the same names both ways.
 * @param {string} place
 * @param {Node} system
 */
async function runProbe(place, system) {
  const begin = performance.now()
  const names = publishedPackages().flatMap(entryNames)
  const probe = join(place, 'probe.cjs')
  writeFileSync(
    probe,
    `(async () => { for (const name of ${JSON.stringify(names)}) {
  const required = Object.keys(require(name)).filter((key) => key !== '__esModule').sort().join()
  const imported = Object.keys(await import(name)).filter((key) => key !== 'module.exports').sort().join()
  if (required !== imported || imported === '') throw new Error(name + ': ' + required + ' is not ' + imported)
} })().catch((error) => { console.error(error); process.exitCode = 1 })\n`,
  )
  const result = await run(system.path, [probe], { cwd: place, env: environmentFor(system.path), quiet: true })
  const ok = result.code === 0
  console.log(`${ok ? 'ok    ' : 'FAILED'} import and require of ${names.join(', ')} (${secondsSince(begin)})`)
  if (!ok) console.log(result.stdout + result.stderr)
  return ok
}
