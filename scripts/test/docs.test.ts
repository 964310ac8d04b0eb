/**
 * Every TypeScript block of the documentation is type-checked, those marked `run` are run: on the newest Node, from a
 * bundle of the sources, in a folder of their own.
 */
import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DocsProgram, programsOf } from '../docs-blocks.ts'
import { bundle } from '../lib/bundle.ts'
import { environmentFor, newestNode } from '../lib/nodes.mjs'

const root = resolve(import.meta.dirname, '../..')
const runProgram = promisify(execFile)
const TIMEOUT_MS = 60_000

function documents(): string[] {
  const docs = existsSync(join(root, 'docs'))
    ? readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    : []
  const readmes = readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`)
  return [
    'README.md',
    ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name.replaceAll('\\', '/')}`),
    ...readmes,
  ]
    .filter((file) => existsSync(join(root, file)))
    .sort()
}

const programs = documents().flatMap((file) => programsOf(file, readFileSync(join(root, file), 'utf8')))

// A folder beside nothing: what the blocks import is found through one link, as in a user's project.
const folder = mkdtempSync(join(tmpdir(), 'ate-docs-'))
symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n')
writeFileSync(
  join(folder, 'tsconfig.json'),
  JSON.stringify({
    extends: join(root, 'tsconfig.base.json'),
    include: ['*.ts'],
    compilerOptions: {
      declaration: false,
      isolatedDeclarations: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
      moduleDetection: 'force',
    },
  }),
)
// As most projects have it, in which a property that may be left out may be undefined, too.
writeFileSync(
  join(folder, 'strict.json'),
  JSON.stringify({ extends: './tsconfig.json', compilerOptions: { exactOptionalPropertyTypes: false } }),
)
const fileOf = (program: DocsProgram): string =>
  join(folder, `${program.name.replace(/[/\\]/g, '--').replace(/:(\d+)$/, '.$1')}.ts`)
for (const program of programs) writeFileSync(fileOf(program), program.text)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function output(command: readonly string[], cwd: string, home: string): Promise<string> {
  const node = newestNode().path
  const env = environmentFor(node, { ATE_HOME: home, NODE_OPTIONS: undefined, NODE_ENV: undefined, VITEST: undefined })
  try {
    await runProgram(node, command, { cwd, env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' })
    return ''
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as { stdout?: string; stderr?: string; message: string }
    return stdout + stderr || message
  }
}

/** Where they run our packages come first, in few files; what they import besides is found one folder up. */
const running = join(folder, 'run')

async function bundlePackages(): Promise<void> {
  const entries: Record<string, string> = {}
  for (const name of readdirSync(join(root, 'packages'))) {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))
    const exports: Record<string, string> = { './package.json': './package.json' }
    for (const [path, target] of Object.entries<Record<string, string>>(manifest.exports ?? {})) {
      const source = target['@ate/source']
      if (source === undefined) continue
      const entry = path === '.' ? 'index' : path.slice(2)
      entries[`${name}/${entry}`] = join(root, 'packages', name, source)
      exports[path] = `./${entry}.mjs`
    }
    mkdirSync(join(running, 'node_modules/@ate', name), { recursive: true })
    writeFileSync(
      join(running, 'node_modules/@ate', name, 'package.json'),
      JSON.stringify({ name: manifest.name, version: manifest.version, exports }),
    )
  }
  await bundle(join(running, 'node_modules/@ate'), { entryPoints: entries })
}

describe('the TypeScript blocks of the documentation', () => {
  beforeAll(bundlePackages, TIMEOUT_MS)

  it('there are some', () => {
    expect(programs.map(({ name }) => name.split(':')[0])).toContain('README.md')
  })

  it.each(['tsconfig.json', 'strict.json'])('type-check, by %s', async (config) => {
    const tsc = join(root, 'node_modules/@typescript/native/bin/tsc')
    const messages = (await output([tsc, '-p', join(folder, config)], folder, folder)).split('\n')
    // Our own sources are checked as they are written, elsewhere; projects see their types alone.
    expect(messages.filter((line) => line !== '' && !line.startsWith(' ') && !line.startsWith('../'))).toEqual([])
  })

  it.each(programs.filter(({ run }) => run).map((program) => [program.name, program] as const))(
    '%s runs',
    async (_, program) => {
      const cwd = mkdtempSync(join(running, 'run-'))
      mkdirSync(join(cwd, 'work'))
      const file = join(running, basename(fileOf(program)))
      writeFileSync(file, program.text)
      expect(await output([file], join(cwd, 'work'), join(cwd, 'home'))).toBe('')
    },
  )
})

describe('programsOf', () => {
  const fence = '```'

  it('takes ts blocks, each on its own lines', () => {
    const text = `# A\n${fence}ts\nconst a = 1\n${fence}\n${fence}sh\nnpm i\n${fence}\n`
    expect(programsOf('a.md', text)).toEqual([{ name: 'a.md:2', run: false, text: '\n\nconst a = 1\n' }])
  })

  it('joins what continues, and runs the whole if one block says so', () => {
    const text = `${fence}ts\na()\n${fence}\nText\n${fence}ts continue run\nb()\n${fence}\n${fence}ts\nc()\n${fence}`
    expect(programsOf('a.md', text)).toEqual([
      { name: 'a.md:1', run: true, text: '\na()\n\n\n\nb()\n' },
      { name: 'a.md:8', run: false, text: `${'\n'.repeat(8)}c()\n` },
    ])
  })

  it('refuses a block that continues nothing', () => {
    expect(() => programsOf('a.md', `${fence}ts continue\nb()\n${fence}`)).toThrow('a.md:1 continues nothing')
  })
})
