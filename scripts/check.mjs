/**
 * `npm run check`: everything that is not a test, one line a check with its seconds; the output of those that fail.
 * It goes on after a failure, so that one run shows all that is to be done.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { gzipSync } from 'node:zlib'
import { environmentFor, newestNode, root } from './lib/nodes.mjs'
import { eachAtOnce, finish, npm, run, secondsSince } from './lib/steps.mjs'
import { entryNames, publishedPackages } from './lib/workspaces.mjs'

const newest = newestNode()
// Tools keep their caches inside this folder.
const env = environmentFor(newest.path, { XDG_CACHE_HOME: join(root, 'node_modules', '.cache') })
const packages = publishedPackages()
const start = performance.now()
/** @type {import('./lib/steps.mjs').Counts} */
const counts = { passed: 0, failures: [] }
/**
 * Kilobytes (of 1000 bytes) of bundles for browsers, gzipped as one file: what loads before anything is called, with every
 * name that core exports; and all that a page needs which opens a chain at a server, with the names of PAGE_NAMES.
 */
const FIRST_LOAD_KB_MAX = 142
const PAGE_KB_MAX = 150
const TSC = '@typescript/native/bin/tsc'
const PAGE_NAMES = ['openChain', 'defineType', 'role', 'createIdentity']

/**
 * A check answers with what is wrong; an empty text means that nothing is. What it notes is printed beside its name.
 * @typedef {{ problem: string, note?: string }} Answer
 */

/**
 * @param {string} name
 * @param {() => Promise<Answer>} body
 */
async function check(name, body) {
  const begin = performance.now()
  /** @type {Answer} */
  const answer = await body().catch((error) => ({ problem: String(error?.stack ?? error) }))
  const ok = answer.problem === ''
  if (ok) counts.passed++
  else counts.failures.push(`${name}: ${answer.problem.trim()}`)
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name}${answer.note ? `: ${answer.note}` : ''} (${secondsSince(begin)})`)
  if (!ok) console.log(`${answer.problem.trimEnd().replace(/^/gm, '       ')}`)
  return ok
}

/**
 * A check of what the build made: what an earlier build left does not count.
 * @param {string} name
 * @param {() => Promise<Answer>} body
 */
function checkBuilt(name, body) {
  return check(name, built ? body : async () => ({ problem: 'not checked, because the build failed' }))
}

/**
 * A program of node_modules, on the newest Node.
 * @param {string} script its path below node_modules, or below the root if it starts with scripts/
 * @param {string[]} args
 * @param {string} [cwd]
 */
async function tool(script, args, cwd = root) {
  const file = join(root, script.startsWith('scripts/') ? '' : 'node_modules', script)
  return failureOf(await run(newest.path, [file, ...args], { cwd, env, quiet: true }))
}

/**
 * @param {{ code: number, stdout: string, stderr: string }} result
 * @returns {Answer}
 */
function failureOf({ code, stdout, stderr }) {
  return { problem: code === 0 ? '' : `${stdout}${stderr}`.trim() || `exit code ${code}` }
}

const built = await check('build', () =>
  tool('turbo/bin/turbo', ['run', 'build', '--filter=./packages/*', '--output-logs=errors-only']),
)
// Two at a time, the long ones first. Those of one package take turns: some pack in its folder.
/** @type {(() => Promise<unknown>)[]} */
const jobs = [
  // In one program: what all packages share is checked once. `npm run typecheck` asks each for itself.
  () => check('types of packages', () => tool(TSC, ['-p', 'tsconfig.packages.json'])),
  () => check('types of the bench', () => tool(TSC, ['-p', 'bench'])),
  () => check('types of examples', () => tool(TSC, ['-p', 'examples'])),
  () => check('exported names', () => tool('scripts/api.ts', [])),
  ...packages.map((entry) => () => checkPackage(entry)),
  () =>
    check('biome: lint and format', () =>
      tool('@biomejs/biome/bin/biome', ['ci', '--error-on-warnings', '--colors=off', '--max-diagnostics=50', '.']),
    ),
  () =>
    check('knip: unused files, exports, dependencies', () =>
      tool('knip/bin/knip.js', ['--no-progress', '--no-config-hints']),
    ),
  () => check('types of scripts', () => tool(TSC, ['-p', root])),
  () => check('tsc is the native one, 7', tscVersion),
  () => checkBuilt('types without Node and without skipLibCheck', consumerTypes),
  () => checkBuilt('@ate/core bundles for browsers', browserBundle),
  () => check('package-lock.json', lockFile),
]
await eachAtOnce(jobs, 2, (job) => job())
finish('npm run check', counts, start)

/** @param {import('./lib/workspaces.mjs').Workspace} entry */
async function checkPackage(entry) {
  const { manifest, path } = entry
  await checkBuilt(`publint ${manifest.name}`, () => tool('publint/src/cli.js', ['--strict', path]))
  if (manifest.exports) {
    const args = ['--pack', '.', '--profile', 'esm-only', '--no-emoji', '--no-color']
    await checkBuilt(`attw ${manifest.name}`, () => tool('@arethetypeswrong/cli/dist/index.js', args, path))
  }
  await checkBuilt(`contents of ${manifest.name}`, () => tarballContents(entry))
}

/** Two packages own the bin `tsc`; the types are checked by the native compiler, and the other is the API of tools. */
async function tscVersion() {
  const { stdout } = await run(newest.path, [join(root, 'node_modules/.bin/tsc'), '-v'], { env, quiet: true })
  return { problem: stdout.startsWith('Version 7.') ? '' : `node_modules/.bin/tsc says ${stdout}`, note: stdout.trim() }
}

/**
 * A user's program that imports every entry point type-checks as built, in both kinds of module resolution, with only the
 * libraries of a browser and with every declaration file checked.
 * @returns {Promise<Answer>}
 */
async function consumerTypes() {
  const folder = mkdtempSync(join(tmpdir(), 'ate-consumer-'))
  try {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
    const names = packages.flatMap(entryNames)
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(
      join(folder, 'use.ts'),
      `${names.map((name) => `export * as ${name.replace(/\W/g, '_')} from '${name}'`).join('\n')}\n`,
    )
    const strict = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true, types: [] }
    const results = []
    for (const module of ['nodenext', 'preserve']) {
      const compilerOptions = { ...strict, module, target: 'es2022', lib: ['es2022', 'dom'] }
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }))
      results.push(await tool(TSC, ['-p', folder]))
    }
    return {
      problem: results
        .map(({ problem }) => problem)
        .join('\n')
        .trim(),
      note: names.join(', '),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * What npm would publish: both licences and a README, and the documents with core; nothing but dist beside them, and the sources
 * that maps name are inside the maps.
 * @param {import('./lib/workspaces.mjs').Workspace} entry
 * @returns {Promise<Answer>}
 */
async function tarballContents({ path, manifest }) {
  const packed = await npm(['pack', '--json', '--dry-run'], path, env)
  if (packed.code !== 0) return failureOf(packed)
  const listing = JSON.parse(packed.stdout.slice(packed.stdout.search(/^[[{]/m)))
  const { files, size } = Array.isArray(listing) ? listing[0] : Object.values(listing)[0]
  const names = files.map((/** @type {{ path: string }} */ file) => file.path)
  const wanted = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json']
  if (manifest.name === '@ate/core') {
    const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
    wanted.push(...docs.map((name) => `docs/${name}`))
  }
  const targets = Object.values(manifest.exports ?? {}).flatMap((target) => [target.types, target.default])
  const problems = [
    ...[...wanted, ...targets, ...Object.values(manifest.bin ?? {})]
      .filter((name) => name !== undefined && !names.includes(name.replace('./', '')))
      .map((name) => `${name} is missing`),
    ...names
      .filter((/** @type {string} */ name) => !wanted.includes(name) && !name.startsWith('dist/'))
      .map((/** @type {string} */ name) => `${name} is not for users`),
  ]
  return { problem: problems.join('\n'), note: `${names.length} files, ${(size / 1024).toFixed(0)} KiB packed` }
}

/**
 * Bundles the built entry point as it is, with the `browser` condition, and looks for what only Node has. What is behind
 * a dynamic import is loaded when it is asked for, and is noted apart.
 * @returns {Promise<Answer>}
 */
async function browserBundle() {
  const entry = join(root, 'packages/core/dist/index.js')
  if (!existsSync(entry)) return { problem: 'packages/core/dist/index.js is not built' }
  const { metafile, texts } = await bundleOf({ entryPoints: [entry] })
  const page = `import { ${PAGE_NAMES.join(', ')} } from './index.js'\nglobalThis.page = [${PAGE_NAMES.join(', ')}]`
  const small = await bundleOf({ stdin: { contents: page, resolveDir: join(root, 'packages/core/dist') } })
  const first = staticImports(metafile, /dist\/index\.js$/)
  const ofPage = new Set([
    ...staticImports(small.metafile, /<stdin>$/),
    ...staticImports(small.metafile, /dist\/open-remote-\w+\.js$/),
  ])
  const left = Object.values(metafile.outputs).flatMap((output) =>
    output.imports.filter((item) => !texts.has(item.path)).map((item) => item.path),
  )
  const users = Object.entries(metafile.inputs).flatMap(([file, input]) =>
    input.imports.filter((item) => left.includes(item.path)).map((item) => `${file} imports ${item.path}`),
  )
  const loaded = gzippedKb([...texts].filter(([name]) => first.has(name)).map(([, text]) => text))
  const connected = gzippedKb([...small.texts].filter(([name]) => ofPage.has(name)).map(([, text]) => text))
  const usesBuffer = [...texts.values()].some((text) => /\bBuffer\.(from|alloc)/.test(Buffer.from(text).toString()))
  const problems = [
    ...users,
    ...(usesBuffer ? ['the bundle uses Buffer'] : []),
    ...(loaded > FIRST_LOAD_KB_MAX ? [`${loaded.toFixed(1)} kB load first, over ${FIRST_LOAD_KB_MAX}`] : []),
    ...(connected > PAGE_KB_MAX ? [`${connected.toFixed(1)} kB of a page with the network, over ${PAGE_KB_MAX}`] : []),
  ]
  return {
    problem: problems.join('\n'),
    note: `${loaded.toFixed(1)} kB gzipped with every name, ${connected.toFixed(1)} of a page with the network`,
  }
}

/** @param {import('esbuild').BuildOptions} from */
async function bundleOf(from) {
  const { build } = await import('esbuild')
  const { metafile, outputFiles } = await build({
    ...from,
    outdir: join(root, 'packages/core/dist'),
    write: false,
    splitting: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    bundle: true,
    minify: true,
    metafile: true,
    external: ['node:*'],
    absWorkingDir: root,
    logLevel: 'silent',
  })
  const texts = new Map(outputFiles.map(({ path, contents }) => [relative(root, path).replaceAll(sep, '/'), contents]))
  return { metafile, texts }
}

/**
 * The files that a page has loaded when `entry` is: those that it imports, and they import, statically.
 * @param {import('esbuild').Metafile} metafile
 * @param {RegExp} entry
 */
function staticImports({ outputs }, entry) {
  const loaded = new Set(Object.keys(outputs).filter((name) => entry.test(outputs[name]?.entryPoint ?? '')))
  for (const name of loaded)
    for (const item of outputs[name]?.imports ?? [])
      if (item.kind === 'import-statement' && outputs[item.path]) loaded.add(item.path)
  return loaded
}

/** @param {Uint8Array[]} texts */
function gzippedKb(texts) {
  return gzipSync(Buffer.concat(texts), { level: 9 }).length / 1000
}

/**
 * The lock file serves every platform: complete, and without addresses of a registry.
 * @returns {Promise<Answer>}
 */
async function lockFile() {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const addresses = Object.entries(lock.packages).filter(([, entry]) =>
    /^https?:/.test(/** @type {any} */ (entry).resolved ?? ''),
  )
  const unhashed = Object.entries(lock.packages).filter(
    ([path, entry]) =>
      path.includes('node_modules/') && !(/** @type {any} */ (entry).link) && !(/** @type {any} */ (entry).integrity),
  )
  const absent = Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.keys({ .../** @type {any} */ (entry).dependencies, .../** @type {any} */ (entry).optionalDependencies })
      .filter((name) => !isLocked(lock.packages, path, name))
      .map((name) => `${path || 'the root'} needs ${name}, which is not in the lock`),
  )
  const dry = await npm(['ci', '--dry-run', '--ignore-scripts', '--prefer-offline'], root, env)
  const missing = `${dry.stdout}${dry.stderr}`.split('\n').filter((line) => line.includes('Missing'))
  const problems = [
    ...addresses.map(([path]) => `${path} names the address of a registry`),
    ...unhashed.map(([path]) => `${path} has no hash`),
    ...absent,
    ...missing,
    ...(dry.code === 0 || missing.length > 0 ? [] : [dry.stderr]),
  ]
  return { problem: problems.join('\n'), note: `${Object.keys(lock.packages).length} entries` }
}

/**
 * Whether a dependency is in the lock where Node would look for it, whatever the platform that made the lock.
 * @param {Record<string, unknown>} packages
 * @param {string} from the path of the package that needs it
 * @param {string} name
 */
function isLocked(packages, from, name) {
  for (let folder = from; ; folder = folder.includes('/') ? folder.slice(0, folder.lastIndexOf('/')) : '') {
    if (`${folder === '' ? '' : `${folder}/`}node_modules/${name}` in packages) return true
    if (folder === '') return false
  }
}
