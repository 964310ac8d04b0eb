/**
 * The frozen backups of formats 2 and 3: a manifest that is not live, a list of files, a ring (a file a key in format 2, slots
 * in format 3), and a record of recovery. Every later version restores them. Their bytes never change; backup-scenario.ts wrote
 * them.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { restore } from '../../src/data/backup.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { recover } from '../../src/data/recover.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { nodeFileSystem } from '../../src/node/file-system.ts'
import { KEY, maker, WRAPPED, writeBackup } from './backup-scenario.ts'
import { diskPlatform, Note } from './scenario.ts'

const FROZEN = [
  {
    format: 'format-2',
    id: 'ahrcw90f0hgzgb5rdgawvhbarnzffpfj5ts3fq0r19wyex80e0b0',
    head: '722b5531dd49f55ab556234eaec7efea29069fd7f2db515f96475b16a92f4504',
  },
  {
    format: 'format-3',
    id: 'zk4wby08bw9avn8wrwa7xc99ets1m8xb605enva37qpxd37ad0c0',
    head: '8c72ced8df30b475f96d364dbd4a0d9fdd8aa682d715671b582c110ecce6c3d5',
  },
]
const RUNS = FROZEN.flatMap((frozen) => [nodeProvider(), nobleProvider].map((crypto) => ({ ...frozen, crypto })))

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-backups-'))
  for (const { format } of FROZEN)
    cpSync(new URL(`../vectors/${format}/`, import.meta.url).pathname, join(folder, format), { recursive: true })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('a frozen backup', () => {
  it.each(RUNS)(
    'of $format is restored, and recovered by who made it ($crypto.name)',
    async ({ format, id, head, crypto }) => {
      const platform = diskPlatform(1, crypto)
      const at = join(folder, `${format}-${crypto.name}`)
      const to = `file:${at}`
      const receipt = await restore(`file:${join(folder, format)}`, to, {}, platform)
      expect({ ...receipt, head: toHex(receipt.head.hash) }).toEqual({
        chain: id,
        head,
        records: 6,
        keys: 1,
      })
      const alice = maker(crypto)
      await recover(to, { as: alice }, platform)
      const chain = await openChain(to, { as: alice }, platform)
      const texts: string[] = []
      for await (const note of chain.children(Note)) texts.push(note.value.text)
      expect(texts).toEqual(['before the loss', 'after it'])
      expect(await chain.verify()).toMatchObject({ ok: true, recoveries: 2 })
      await chain.close()
      const { random, clock } = platform.environment
      const log = await openFileLog({ fs: nodeFileSystem(at), random, clock, readOnly: true })
      expect(await log.ring.get(KEY)).toEqual(WRAPPED)
      await log.close()
    },
  )

  it('is read by the independent verifier too, as is one that is written now', async () => {
    await writeBackup(join(folder, 'chain'), join(folder, 'written'), nodeProvider())
    const program = new URL('verify.py', import.meta.url).pathname
    const folders = [...FROZEN.map(({ format }) => format), 'written'].map((name) => join(folder, name))
    const { stdout, error } = spawnSync('python3', [program, ...folders], { encoding: 'utf8' })
    if (error) return console.log('python3 is not on this machine: the independent verifier is not run.')
    for (const line of stdout.trimEnd().split('\n')) expect(line).toMatch(/^ok: \d+ records, /)
  })
})
