/** `ate vault`: most of it in this process, since processes are slow to start; as users run it where that matters. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createIdentity, saveIdentity } from '@ate/core'
import type { Vault } from '@ate/vault'
import { CommanderError } from 'commander'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { printError } from '../src/output.ts'
import { vaultCommand } from '../src/vault/commands.ts'
import { variablesFor } from '../src/vault/variables.ts'
import { ATE, type Machine, newMachine, type Outcome } from './run-ate.ts'

const CANARY = 'canary-c0ffee-94af'
let machine: Machine
/** Inputs of commands that run here. */
let inputs: string
const before = { home: process.env['ATE_HOME'], cwd: process.cwd() }
beforeAll(() => {
  machine = newMachine()
  inputs = mkdtempSync(join(tmpdir(), 'ate-input-'))
  process.env['ATE_HOME'] = join(machine.folder, 'home')
  process.env['ATE_VAULT'] = join(machine.folder, 'vault')
  process.chdir(machine.folder)
})
afterAll(() => {
  process.chdir(before.cwd)
  process.env['ATE_HOME'] = before.home
  delete process.env['ATE_VAULT']
  machine.remove()
})

/** In a process of its own. */
const spawned = (
  args: readonly string[],
  input?: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> => machine.run(['vault', ...args], env, undefined, input)

/** Here, with `input` as a file; what it prints is caught. */
async function ate(
  args: readonly string[],
  input?: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const file = join(inputs, 'input')
  if (input !== undefined) writeFileSync(file, input)
  const out: Buffer[] = []
  const err: string[] = []
  const catching = [
    vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => out.push(Buffer.from(chunk as string)) > 0),
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => err.push(String(chunk)) > 0),
  ]
  const stood = Object.fromEntries(Object.keys(env).map((name) => [name, process.env[name]]))
  Object.assign(process.env, env)
  let code = 0
  try {
    process.exitCode = 0
    const command = vaultCommand(() => ({}))
    await command.parseAsync([...args, ...(input === undefined ? [] : ['--file', file])], { from: 'user' })
    code = Number(process.exitCode)
  } catch (error) {
    if (!(error instanceof CommanderError)) printError(error)
    code = error instanceof CommanderError ? 2 : 1
  } finally {
    process.exitCode = 0
    for (const [name, value] of Object.entries(stood)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
    for (const one of catching) one.mockRestore()
  }
  return { code, stdout: Buffer.concat(out).toString(), stderr: err.join('') }
}

const done = async (
  args: readonly string[],
  input?: string,
  env?: Readonly<Record<string, string>>,
): Promise<string> => {
  const { code, stdout, stderr } = await ate(args, input, env)
  expect([args.join(' '), code, stderr]).toEqual([args.join(' '), 0, ''])
  return stdout
}

describe('ate vault', () => {
  it('keeps, shows, changes and destroys', async () => {
    await done(
      ['put', 'prod/db', '--json', '--meta', 'owner=me'],
      JSON.stringify({ url: `postgres://${CANARY}`, user: 'u' }),
    )
    expect(await done(['get', 'ate://prod/db#url'])).toBe(`postgres://${CANARY}\n`)
    await done(['patch', 'prod/db'], '{"user":null,"pool":{"max":5}}')
    const shown = JSON.parse(await done(['get', 'prod/db', '--json']))
    expect(shown).toEqual({ path: 'prod/db', version: 2, value: { url: `postgres://${CANARY}`, pool: { max: 5 } } })
    expect(await done(['diff', 'prod/db', '1', '2'])).toBe('--- v1\n+++ v2\n+ pool\n- user\n')
    expect((await done(['history', 'prod/db'])).split('\n')[1]).toMatch(/^v2 .* live$/)
    expect(await done(['ls', 'prod'])).toMatch(/^prod\/db {2}v2 .* {2}owner=me\n$/)
    const wrong = await ate(['put', 'prod/db', '--cas', '1'], 'x')
    expect([wrong.code, wrong.stderr.slice(0, 12)]).toEqual([1, 'CAS_MISMATCH'])
    await done(['rm', 'prod/db'])
    expect((await ate(['get', 'prod/db'])).stderr).toContain('VERSION_DELETED')
    await done(['restore', 'prod/db'])
    expect((await ate(['destroy', 'prod/db', '1'])).code).toBe(2)
    expect((await done(['audit', 'prod/db'])).split('\n').length).toBeGreaterThan(3)
    expect(await done(['audit', 'prod/db', '--from', '1000000'])).toBe('')
    for (const args of [['prod/bd'], ['prod/bd', '--json'], ['prod', '--from', '3']]) {
      const mistyped = await ate(['audit', ...args])
      expect([mistyped.code, mistyped.stdout]).toEqual([1, ''])
      expect(mistyped.stderr).toMatch(/^NOT_FOUND: nothing was done at this path/)
    }
    expect(await done(['destroy', 'prod/db', '1', '--yes'])).toContain('destroyed v1\n  a backup with keys')
    expect((await ate(['get', 'prod/db', '--revision', '1'])).stderr).toContain('VERSION_DESTROYED')
  })

  it('makes no vault where a place is mistyped, and says what is wrong with an argument', async () => {
    for (const args of [
      ['rm', 'prod/db'],
      ['grant', 'deploy', 'app/**', 'read'],
      ['destroy', 'prod/db', '1', '--yes'],
    ]) {
      const { code, stderr } = await ate([...args, '-C', 'typo'])
      expect([code, stderr.split(':')[0]]).toEqual([1, 'CHAIN_NOT_FOUND'])
    }
    expect(existsSync(join(machine.folder, 'typo'))).toBe(false)
    for (const verb of ['rm', 'restore', 'destroy']) {
      const { code, stderr } = await ate([verb, 'prod/db', 'x', ...(verb === 'destroy' ? ['--yes'] : [])])
      expect([code, stderr]).toEqual([2, expect.stringContaining('must be a whole number')])
    }
  })

  it('gives no secret the name of what changes what is run', async () => {
    const vault = { env: async () => variables } as unknown as Vault
    let variables: Record<string, string> = {}
    for (const name of [
      'GIT_CONFIG_GLOBAL',
      'LESSOPEN',
      'LUA_INIT_5_4',
      'LD_PRELOAD',
      'npm_config_script_shell',
      'PATH',
    ]) {
      variables = { [name]: 'x' }
      await expect(variablesFor(vault, {}), name).rejects.toThrow('BAD_ARGUMENT')
      expect(await variablesFor(vault, { prefix: 'APP_' })).toEqual({ [`APP_${name}`]: 'x' })
    }
    variables = { CARGO_REGISTRY_TOKEN: 'x', NPM_TOKEN: 'x', GITHUB_TOKEN: 'x', HOMEPAGE: 'x' }
    expect(await variablesFor(vault, {})).toEqual(variables)
  })

  it('takes no secret as an argument', async () => {
    const { code, stderr } = await ate(['put', 'prod/x', 'hunter2'], 'value')
    expect(code).toBe(2)
    expect(stderr).toContain('too many arguments')
    expect((await ate(['unwrap', 'atew1.token'])).code).toBe(2)
  })

  it('runs a command with secrets, masks what it prints, and ends as it ends', async () => {
    expect((await spawned(['put', 'app/api-key'], `${CANARY}-key\n`)).code).toBe(0)
    const script = 'echo "$API_KEY"; printf %s "$DB_URL" >&2; exit 7'
    const all = await spawned(['run', '--from', 'app', '--', 'sh', '-c', script])
    expect([all.code, all.stdout, all.stderr]).toEqual([7, `${CANARY}-key\n`, ''])
    const both = 'echo "$APP_API_KEY"; echo "$PROD_DB_URL" >&2'
    const masked = await spawned(['run', '--mask', '--only', 'PROD_DB_URL,APP_API_KEY', '--', 'sh', '-c', both])
    expect([masked.code, masked.stdout, masked.stderr]).toEqual([0, '[redacted]\n', '[redacted]\n'])
    const names = 'env | cut -d= -f1 | sort'
    const pristine = await spawned(
      ['run', '--from', 'app', '--pristine', '--prefix', 'X_', '--', 'sh', '-c', names],
      undefined,
      { CANARY_OUTER: '1' },
    )
    const ofShell = ['PWD', 'SHLVL', '_', 'OLDPWD', '']
    expect(pristine.stdout.split('\n').filter((name) => !ofShell.includes(name))).toEqual(['PATH', 'X_API_KEY'])
    const shown = 'echo "$KEY"; test -z "$API_KEY" && echo none'
    const references = await spawned(['run', '--references', '--', 'sh', '-c', shown], undefined, {
      KEY: 'ate://app/api-key',
    })
    expect(references.stdout).toBe(`${CANARY}-key\nnone\n`)
    await done(['put', 'bad/ld-preload'], 'x')
    expect((await ate(['run', '--from', 'bad', '--', 'true'])).stderr).toContain('would change what is run')
    expect((await ate(['run', '--from', 'app', '--only', 'NOPE', '--', 'true'])).stderr).toContain('NOT_FOUND')
    expect((await ate(['run', '--from', 'app', '--', 'no-such-command'])).code).toBe(1)
  })

  it('starts no program without the secrets that were asked for, and stores no value that did not come', async () => {
    const slip = await ate(['run', '--from', 'prdo', '--', 'true'])
    expect([slip.code, slip.stderr.split(':')[0]]).toEqual([1, 'NOT_FOUND'])
    const none = await spawned(['put', 'slip/none'], '')
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('nothing came from stdin')])
    const empty = await ate(['put', 'slip/empty'], '')
    expect([empty.code, (await done(['ls', 'slip'])).split(' ')[0]]).toEqual([0, 'slip/empty'])
  })

  it('says nothing of a secret that no environment holds', async () => {
    await done(['put', 'odd/zero', '--json'], JSON.stringify(`${CANARY}\0`))
    const zero = await ate(['run', '--from', 'odd', '--', 'true'])
    expect([zero.code, zero.stderr.split(':')[0]]).toEqual([1, 'BAD_VALUE'])
    const given = await ate(['run', '--from', 'app', '--', 'true\0'])
    expect([given.code, given.stderr.split(':')[0]]).toEqual([1, 'IO_ERROR'])
    expect(zero.stderr + given.stderr).not.toContain(CANARY)
  })

  // A pseudo terminal is needed, which `script` of util-linux makes.
  it.runIf(existsSync('/usr/bin/script'))('gives a command on a terminal one Ctrl-C, not two', async () => {
    const program = join(machine.folder, 'interrupted.mjs')
    writeFileSync(
      program,
      `let count = 0
process.on('SIGINT', () => {
  if (++count === 1) setTimeout(() => { console.log('interrupted ' + count); process.exit(0) }, 500)
})
setInterval(() => undefined, 1000)
console.log('ready')
`,
    )
    const ate = `${process.execPath} ${ATE}`
    const command = `${ate} vault run --from app -- ${process.execPath} ${program}`
    const child = spawn('/usr/bin/script', ['-qec', command, '/dev/null'], { cwd: machine.folder })
    let seen = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (!seen.includes('ready') && (seen + text).includes('ready')) child.stdin.write('\x03')
      seen += text
    })
    await once(child, 'close')
    expect(seen).toContain('interrupted 1')
  })

  it('exports and injects, and never into a file that others read', async () => {
    expect(await done(['export', 'app', '--format', 'shell'])).toBe(`export API_KEY='${CANARY}-key'\n`)
    await done(['export', 'app', '--format', 'node', '--out', 'app.env'])
    expect(statSync(join(machine.folder, 'app.env')).mode & 0o777).toBe(0o600)
    expect((await ate(['export', 'app', '--format', 'node', '--out', 'app.env'])).stderr).toContain('already there')
    const open = join(machine.folder, 'open.env')
    writeFileSync(open, '')
    chmodSync(open, 0o644)
    const refused = await machine.run(['vault', 'export', 'app', '--format', 'docker'], {}, open)
    expect([refused.code, refused.stderr.slice(0, 13), readFileSync(open, 'utf8')]).toEqual([1, 'INSECURE_FILE', ''])
    writeFileSync(join(machine.folder, 'app.conf.tpl'), 'url={{ ate://prod/db#url }}\nkey={{ate://app/api-key}}\n')
    expect(await done(['inject', 'app.conf.tpl'])).toBe(`url=postgres://${CANARY}\nkey=${CANARY}-key\n`)
  })

  it('imports all or nothing', async () => {
    writeFileSync(join(machine.folder, '.env'), `A=${CANARY}-a\nB=b\n`)
    expect(await done(['import', '.env', '--to', 'imported', '--dry-run'])).toBe('imported/A\nimported/B\n')
    expect(await done(['import', '.env', '--to', 'imported'])).toBe('imported 2 secrets\n')
    writeFileSync(join(machine.folder, 'again.env'), 'C=c\nA=again\n')
    expect((await ate(['import', 'again.env', '--to', 'imported'])).stderr).toContain('CAS_MISMATCH')
    expect((await done(['ls', 'imported'])).split('\n').map((line) => line.split(' ')[0])).toEqual([
      'imported/A',
      'imported/B',
      '',
    ])
  })

  it('grants, says who may, revokes, and tells what was read', async () => {
    const ci = await createIdentity()
    await saveIdentity(ci, join(machine.folder, 'ci.id'))
    writeFileSync(join(machine.folder, 'ci.pub'), ci.publicId)
    await done(['grant', 'deploy', 'app/**', 'list,read'])
    await done(['grant', 'deploy', '--member', 'ci.pub', '--until', '90d'])
    expect(await done(['who', 'app/api-key'])).toContain(`${ci.fingerprint}  until 20`)
    const id = (await machine.run(['stats', 'vault', '--json'])).stdout
    const chain = String((JSON.parse(id) as { chain: string }).chain)
    expect(await done(['get', 'app/api-key', '--as', 'ci.id', '--id', chain])).toBe(`${CANARY}-key\n`)
    expect((await ate(['get', 'prod/db', '--as', 'ci.id', '--id', chain])).stderr).toContain('NOT_FOUND')
    expect(await done(['revoke', 'deploy', '--member', 'ci.pub'])).toBe(
      'could read until now: 1 secret; change them at their source\n  app/api-key\n',
    )
    await done(['put', 'app/api-key'], 'new')
    expect((await ate(['get', 'app/api-key', '--as', 'ci.id', '--id', chain])).code).toBe(1)
    const log = (await done(['audit', '--json']))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { act: string; path?: string })
    expect(log.filter(({ path }) => path === 'app/api-key').map(({ act }) => act)).toEqual(['put', 'move', 'put'])
    expect(log.filter(({ path }) => path === 'deploy').map(({ act }) => act)).toEqual(['join', 'join', 'leave'])
  })

  it('wraps, signs, splits and joins', async () => {
    const token = await done(['wrap', '--ttl', '10m'], CANARY)
    expect(await done(['unwrap'], token)).toBe(`${CANARY}\n`)
    expect((await ate(['unwrap'], token)).stderr).toContain('TOKEN_SPENT')
    const second = await done(['wrap', '--ttl', '10m'], CANARY)
    // Where it cannot be written it is not spent; and nothing is left where it was not to be had.
    expect((await ate(['unwrap', '--out', 'no-folder/x'], second)).stderr).toContain('IO_ERROR')
    await done(['unwrap', '--out', 'unwrapped'], second)
    expect(readFileSync(join(machine.folder, 'unwrapped'), 'utf8')).toBe(CANARY)
    expect((await ate(['unwrap', '--out', 'again'], second)).stderr).toContain('TOKEN_SPENT')
    expect(existsSync(join(machine.folder, 'again'))).toBe(false)
    await done(['transit', 'rotate', 'release'])
    writeFileSync(join(machine.folder, 'sig'), await done(['transit', 'sign', 'release'], 'v1.2.3'))
    expect(await done(['transit', 'verify', 'release', '--signature', 'sig'], 'v1.2.3')).toBe('the signature holds\n')
    expect((await ate(['transit', 'verify', 'release', '--signature', 'sig'], 'v1.2.4')).code).toBe(1)
    const sealed = await done(['transit', 'encrypt', 'release', '--context', 'c'], CANARY)
    expect(await done(['transit', 'decrypt', 'release', '--context', 'c'], sealed)).toBe(CANARY)
    const { fingerprint, files } = JSON.parse(
      await done(['split', '--shares', '3', '--threshold', '2', '--out', 'shares', '--json']),
    ) as { fingerprint: string; files: string[] }
    expect(files.map((file) => statSync(join(machine.folder, file)).mode & 0o777)).toEqual([0o600, 0o600, 0o600])
    const kept = readFileSync(join(machine.folder, files[0]!))
    rmSync(join(machine.folder, files[0]!))
    const mixed = await ate(['split', '--shares', '3', '--threshold', '2', '--out', 'shares'])
    expect([mixed.code, existsSync(join(machine.folder, files[0]!))]).toEqual([1, false])
    writeFileSync(join(machine.folder, files[0]!), kept)
    expect(await done(['drill', ...files, '--fingerprint', fingerprint])).toContain('3 shares make')
    const other = await ate(['drill', ...files, '--fingerprint', (await createIdentity()).fingerprint])
    expect([other.code, other.stdout]).toEqual([1, expect.stringContaining(`shares of ${fingerprint}`)])
    await done(['join', files[2]!, files[0]!, '--out', 'recovered.id'])
    expect(
      await done(['get', 'app/api-key', '--as', 'recovered.id'], undefined, {
        ATE_HOME: join(machine.folder, 'elsewhere'),
      }),
    ).toBe('new\n')
  })

  it('edits in a private file, and leaves none behind', async () => {
    const editor = join(machine.folder, 'editor.sh')
    writeFileSync(
      editor,
      '#!/bin/sh\nstat -c %a "$2" > seen; cat "$2" >> seen; echo "$2" >> seen; echo edited > "$2"\n',
      { mode: 0o700 },
    )
    await done(['edit', 'app/api-key'], undefined, { EDITOR: `${editor} --wait` })
    const [mode, text, file] = readFileSync(join(machine.folder, 'seen'), 'utf8').split('\n')
    expect([mode, text, existsSync(file!)]).toEqual(['600', 'new', false])
    expect(await done(['get', 'app/api-key'])).toBe('edited\n')
  })

  it.runIf(existsSync('/proc/self/stat'))('leaves nothing behind an editor that is interrupted', async () => {
    const editor = join(machine.folder, 'interrupting.sh')
    writeFileSync(
      editor,
      `#!/bin/sh
ate=$PPID
case "$(cat /proc/$ate/comm)" in *sh) ate=$(cut -d' ' -f4 /proc/$ate/stat);; esac
echo "$1" > edited-at
kill -INT $ate
sleep 0.2
if [ "$END" ]; then kill -TERM $ate; exec sleep 5; fi
echo interrupted > "$1"
`,
      { mode: 0o700 },
    )
    const placeOf = (): string => readFileSync(join(machine.folder, 'edited-at'), 'utf8').trim()
    const stayed = await spawned(['edit', 'app/api-key'], undefined, { EDITOR: editor })
    expect([stayed.code, existsSync(placeOf())]).toEqual([0, false])
    expect(await done(['get', 'app/api-key'])).toBe('interrupted\n')
    const ended = await spawned(['edit', 'app/api-key'], undefined, { EDITOR: editor, END: '1' })
    expect([ended.code, existsSync(placeOf())]).toEqual([1, false])
    expect(ended.stderr).toContain('nothing was written')
  })

  it('left no secret on the disk but where it was told to', async () => {
    const told = new Set(['app.env', '.env', 'seen', 'sig', 'unwrapped'])
    const files = readdirSync(machine.folder, { recursive: true, encoding: 'utf8' })
    for (const file of files) {
      const at = join(machine.folder, file)
      if (told.has(file) || !statSync(at).isFile()) continue
      expect([file, readFileSync(at).includes(CANARY)]).toEqual([file, false])
    }
  })
})
