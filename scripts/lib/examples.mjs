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
import { eachAtOnce, npm, run, secondsSince } from './steps.mjs'
import { entryNames, publishedPackages } from './workspaces.mjs'

const TIMEOUT_MS = 60_000

/**
 * @typedef {{ path: string, version: string }} Node
 * @typedef {string | undefined} Problem undefined if all is well
 * @param {{ newest: Node, system: Node, scratch: string }} options `scratch` is a folder that the caller removes
 * @returns {Promise<import('./steps.mjs').Counts>}
 */
export async function runExamples({ newest, system, scratch }) {
  const folder = join(root, 'examples')
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.ts'))
    .sort()
  console.log(`\n-- examples from the sources on Node ${newest.version}; meanwhile packages are built and packed`)
  const place = mkdtempSync(join(scratch, 'packed-'))
  const [packing, fromSources] = await Promise.all([
    report('build and npm pack', () => pack(place, newest, scratch)),
    eachAtOnce(files, 1, (name) =>
      runExample(join(folder, name), newest, ['-C', '@ate/source', join(folder, name)], scratch),
    ),
  ])
  const problems = [packing, ...fromSources]
  if (packing === undefined) {
    console.log(`\n-- the packed packages on Node ${system.version}`)
    problems.push(await probe(place, system))
    const packed = await eachAtOnce(files, 2, async (name) => {
      const target = join(place, name.replace(/\.ts$/, '.mjs'))
      writeFileSync(target, await stripTypes(readFileSync(join(folder, name), 'utf8')))
      return runExample(join(folder, name), system, [target], scratch)
    })
    problems.push(...packed)
  }
  const failures = problems.filter((problem) => problem !== undefined)
  return { passed: problems.length - failures.length, failures }
}

/**
 * Does a step and prints a line of it.
 * @param {string} name
 * @param {() => Promise<Problem>} step
 * @returns {Promise<Problem>} the problem behind the name of the step
 */
async function report(name, step) {
  const begin = performance.now()
  const problem = await step()
  console.log(`${problem === undefined ? 'ok    ' : 'FAILED'} ${name} (${secondsSince(begin)})`)
  if (problem !== undefined) console.log(problem)
  return problem === undefined ? undefined : `${name}: ${problem}`
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
function runExample(file, node, command, scratch) {
  return report(`examples/${basename(file)} on ${node.version}`, async () => {
    const cwd = mkdtempSync(join(scratch, 'cwd-'))
    const env = environmentFor(node.path, { ATE_HOME: join(cwd, 'home'), NODE_OPTIONS: undefined })
    const work = join(cwd, 'work')
    mkdirSync(work)
    const { code, stdout, stderr } = await run(node.path, command, {
      cwd: work,
      env,
      quiet: true,
      timeoutMs: TIMEOUT_MS,
    })
    const problem = code === 0 ? difference(stdout, readFileSync(file, 'utf8')) : `exit code ${code}`
    return problem === undefined ? undefined : `${problem}\n--- printed\n${stdout}--- errors\n${stderr}---`
  })
}

/**
 * Builds and packs what is published, and lays it out as npm would: the packages' own files, and links to exactly the
 * dependencies that they name, so that an undeclared one is not found. No network.
 * @param {string} place
 * @param {Node} newest
 * @param {string} scratch
 * @returns {Promise<Problem>}
 */
async function pack(place, newest, scratch) {
  const env = environmentFor(newest.path)
  const turbo = join(root, 'node_modules', 'turbo', 'bin', 'turbo')
  const build = [turbo, 'run', 'build', '--filter=./packages/*', '--output-logs=errors-only']
  const built = await run(newest.path, build, { env, quiet: true })
  if (built.code !== 0) return `the build\n${built.stdout}${built.stderr}`
  const problems = await eachAtOnce(publishedPackages(), 2, async (workspace) => {
    const packed = await npm(['pack', '--json', '--pack-destination', scratch], workspace.path, env)
    if (packed.code !== 0) return `npm pack of ${workspace.manifest.name}\n${packed.stdout}${packed.stderr}`
    const target = join(place, 'node_modules', ...workspace.manifest.name.split('/'))
    mkdirSync(target, { recursive: true })
    const tarball = join(scratch, tarballName(workspace.manifest))
    const unpacked = await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', target], { quiet: true })
    if (unpacked.code !== 0) return `unpacking ${tarball}\n${unpacked.stderr}`
    linkDependencies(workspace, place)
  })
  // Examples may use zod for their schemas; it is theirs, not ours.
  link(join(root, 'package.json'), 'zod', place)
  writeFileSync(join(place, 'package.json'), '{ "type": "module" }\n')
  return problems.find((problem) => problem !== undefined)
}

/** @param {{ name: string, version: string }} manifest */
function tarballName({ name, version }) {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`
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
function probe(place, system) {
  const names = publishedPackages().flatMap(entryNames)
  const file = join(place, 'probe.cjs')
  writeFileSync(
    file,
    `(async () => { for (const name of ${JSON.stringify(names)}) {
  const required = Object.keys(require(name)).filter((key) => key !== '__esModule').sort().join()
  const imported = Object.keys(await import(name)).filter((key) => key !== 'module.exports').sort().join()
  if (required !== imported || imported === '') throw new Error(name + ': ' + required + ' is not ' + imported)
} })().catch((error) => { console.error(error); process.exitCode = 1 })\n`,
  )
  return report(`import and require of ${names.join(', ')}`, async () => {
    const result = await run(system.path, [file], { cwd: place, env: environmentFor(system.path), quiet: true })
    return result.code === 0 ? undefined : result.stdout + result.stderr
  })
}
