/**
 * The frozen backup of format 2: a manifest that is not live, a list of files, a ring, and a record of recovery. Every
 * later version restores it. Its bytes never change; backup-scenario.ts wrote it.
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

const frozen = new URL('../vectors/format-2/', import.meta.url).pathname
const CHAIN = 'ahrcw90f0hgzgb5rdgawvhbarnzffpfj5ts3fq0r19wyex80e0b0'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-format-2-'))
  cpSync(frozen, join(folder, 'backup'), { recursive: true })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('a backup of format 2', () => {
  it.each([nodeProvider(), nobleProvider])('is restored, and recovered by who made it ($name)', async (crypto) => {
    const platform = diskPlatform(1, crypto)
    const to = `file:${join(folder, crypto.name)}`
    const receipt = await restore(`file:${join(folder, 'backup')}`, to, {}, platform)
    expect({ ...receipt, head: toHex(receipt.head.hash) }).toEqual({
      chain: CHAIN,
      head: '722b5531dd49f55ab556234eaec7efea29069fd7f2db515f96475b16a92f4504',
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
    const log = await openFileLog({ fs: nodeFileSystem(join(folder, crypto.name)), random, clock, readOnly: true })
    expect(await log.ring.get(KEY)).toEqual(WRAPPED)
    await log.close()
  })

  it('is read by the independent verifier too, as is one that is written now', async () => {
    await writeBackup(join(folder, 'chain'), join(folder, 'written'), nodeProvider())
    const program = new URL('verify.py', import.meta.url).pathname
    const folders = [join(folder, 'backup'), join(folder, 'written')]
    const { stdout, error } = spawnSync('python3', [program, ...folders], { encoding: 'utf8' })
    if (error) return console.log('python3 is not on this machine: the independent verifier is not run.')
    for (const line of stdout.trimEnd().split('\n')) expect(line).toMatch(/^ok: \d+ records, /)
  })
})
