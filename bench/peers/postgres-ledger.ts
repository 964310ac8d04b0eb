/**
 * A ledger in PostgreSQL, measured by its own pgbench: one function a transfer, the balance checked under the row's lock,
 * fsync and synchronous_commit as they come. Left out where the server is not installed.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import type { LedgerRow } from '../ledger.ts'

const SCHEMA = (accounts: number): string => `
  CREATE TABLE account (id int PRIMARY KEY, floor bigint, balance bigint NOT NULL DEFAULT 0, CHECK (floor IS NULL OR balance >= floor)) WITH (fillfactor = 70);
  CREATE TABLE transfer (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), debit int NOT NULL, credit int NOT NULL, units bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
  INSERT INTO account (id) SELECT generate_series(0, ${accounts});
  CREATE FUNCTION post(a int, b int, n bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO transfer (debit, credit, units) VALUES (a, b, n);
    IF a < b THEN
      UPDATE account SET balance = balance - n WHERE id = a; UPDATE account SET balance = balance + n WHERE id = b;
    ELSE
      UPDATE account SET balance = balance + n WHERE id = b; UPDATE account SET balance = balance - n WHERE id = a;
    END IF;
  END $$;`
const ANY = (accounts: number): string =>
  `\\set a random(1, ${accounts})\n\\set b random(1, ${accounts})\nSELECT post(:a, :b, 1);\n`
const HOT = (accounts: number): string => `\\set b random(1, ${accounts})\nSELECT post(0, :b, 1);\n`

export function postgresRows(
  folder: string,
  { accounts, seconds }: { accounts: number; seconds: number },
): LedgerRow[] {
  const bin = binaries()
  if (!bin) {
    console.log('PostgreSQL is not installed: left out')
    return []
  }
  mkdirSync(folder, { recursive: true })
  const data = join(folder, 'data')
  for (const path of [join(folder, '..'), folder]) chmodSync(path, 0o777)
  // The server does not run as root.
  const asServer = (program: string, args: readonly string[]): void => {
    const command = [join(bin, program), ...args]
    const [first = '', ...rest] = process.getuid?.() === 0 ? ['runuser', '-u', 'postgres', '--', ...command] : command
    execFileSync(first, rest, { stdio: 'ignore', cwd: folder })
  }
  const client = ['-h', folder, '-p', '54329', '-U', 'postgres']
  try {
    asServer('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust'])
    asServer('pg_ctl', [
      '-D',
      data,
      '-w',
      '-o',
      `-p 54329 -k ${folder} -c listen_addresses=`,
      '-l',
      join(folder, 'log'),
      'start',
    ])
  } catch (error) {
    console.log(`PostgreSQL did not start, and is left out: ${(error as Error).message.split('\n')[0]}`)
    return []
  }
  try {
    execFileSync(join(bin, 'psql'), [...client, '-q', '-v', 'ON_ERROR_STOP=1', '-c', SCHEMA(accounts), 'postgres'], {
      stdio: 'pipe',
    })
    writeFileSync(join(folder, 'any.sql'), ANY(accounts))
    writeFileSync(join(folder, 'hot.sql'), HOT(accounts))
    const run = (script: string, clients: number): number => {
      const args = [
        ...client,
        '-n',
        '-M',
        'prepared',
        '-c',
        String(clients),
        '-j',
        '2',
        '-T',
        String(Math.max(3, Math.round(seconds * 2))),
        '-f',
        join(folder, script),
        'postgres',
      ]
      const { stdout } = spawnSync(join(bin, 'pgbench'), args, { encoding: 'utf8' })
      return Number(/tps = ([\d.]+)/.exec(stdout)?.[1])
    }
    return [
      { engine: 'postgres', row: 'one at a time', perSecond: run('any.sql', 1) },
      { engine: 'postgres', row: '16 callers', perSecond: run('any.sql', 16) },
      { engine: 'postgres', row: 'one hot account, 16 callers', perSecond: run('hot.sql', 16) },
    ]
  } finally {
    asServer('pg_ctl', ['-D', data, '-m', 'immediate', 'stop'])
  }
}

function binaries(): string | undefined {
  const base = '/usr/lib/postgresql'
  if (!existsSync(base)) return undefined
  return readdirSync(base)
    .sort()
    .reverse()
    .map((version) => join(base, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'pgbench')))
}
