/** What stands beside a log in its folder, and a log that is destroyed with it. (Each power cut: data/destroy.test.ts.) */
import { describe, expect, it } from 'vitest'
import { crc32 } from '../../src/log/crc32.ts'
import { destroyFileLog } from '../../src/log/file-destroy.ts'
import { MANIFEST } from '../../src/log/file-manifest.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import type { Standing } from '../../src/log/standing.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import type { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { closedLog, LABEL, withCalls } from './damage-kit.ts'
import { Trial } from './trial.ts'

/** A closed log of that standing. */
async function standing(wanted: Standing): Promise<SimFileSystem> {
  const trial = await closedLog()
  const log = await trial.open()
  await log.setStanding!(wanted)
  await log.close()
  return trial.fs
}

describe('the residue', () => {
  it('is what was begun and not finished, torn tails, and keys that are not whole; not the log', async () => {
    const trial = await closedLog()
    const log = await trial.open(true)
    expect(log.residue!()).toEqual({ quarantine: [], leftovers: [], damagedKeys: [] })
    const key = `ring/${'01'.repeat(32)}`
    for (const folder of ['ring', 'quarantine']) trial.fs.makeFolder(folder)
    for (const name of ['seg-000001.ate.new', 'seg-000003.ate', 'letter.txt', `${key}.key`, `${key}.tmp`])
      trial.fs.open(name, 'create').close()
    trial.fs.open('quarantine/a.torn', 'create').write([new Uint8Array(7)], 0)
    expect(log.residue!()).toEqual({
      quarantine: [{ name: 'quarantine/a.torn', bytes: 7 }],
      leftovers: [`${key}.tmp`, 'seg-000001.ate.new', 'seg-000003.ate'],
      damagedKeys: [`${key}.key`],
    })
    await log.close()
  })

  it('that the disk does not give is its error', async () => {
    const list = (path: string): readonly string[] => {
      if (path === 'quarantine') throw Object.assign(new Error('EIO'), { code: 'EIO' })
      return trial.fs.list(path)
    }
    const trial = new Trial(1, { wrap: (fs) => withCalls(fs as SimFileSystem, { list }) })
    const log = await trial.open()
    expect(await codeOf(() => log.residue!())).toBe('IO_ERROR')
    await log.close()
  })
})

describe('a log that is destroyed', () => {
  it('is one of the standings that are meant, and says which it was', async () => {
    const fs = await standing({ state: 'backup', note: '' })
    const before = fs.files()
    expect(await codeOf(() => destroyFileLog({ fs, crc: crc32, standings: ['live', 'moved'] }))).toBe('CHAIN_EXISTS')
    expect(fs.files()).toEqual(before)
    expect(await destroyFileLog({ fs, crc: crc32, standings: ['backup'] })).toMatchObject({
      label: LABEL,
      state: 'backup',
    })
    expect(fs.files()).toEqual([])
  })

  it('says what it was also when the destruction was interrupted, and not what a note says', async () => {
    const backup = await standing({ state: 'backup', note: '' })
    const cut = backup.counts.operations + 5
    backup.faults.cutAfter = cut
    expect(await codeOf(() => destroyFileLog({ fs: backup, crc: crc32 }))).toBe('IO_ERROR')
    backup.crash()
    expect(await destroyFileLog({ fs: backup, crc: crc32 })).toMatchObject({ standing: 'destroyed', state: 'backup' })
    const moved = await standing({ state: 'moved', note: 'live' })
    expect(await destroyFileLog({ fs: moved, crc: crc32 })).toMatchObject({ standing: 'moved', state: 'moved' })
  })

  it('is not there if its MANIFEST goes meanwhile', async () => {
    const { fs } = await closedLog()
    const lock: FileSystem['lock'] = () => {
      fs.drop(MANIFEST)
      return fs.lock()
    }
    expect(await codeOf(() => destroyFileLog({ fs: withCalls(fs, { lock }), crc: crc32 }))).toBe('CHAIN_NOT_FOUND')
    const trial = await closedLog()
    const log = await trial.open()
    trial.fs.drop(MANIFEST)
    expect(await codeOf(() => log.destroy!())).toBe('CHAIN_NOT_FOUND')
  })
})
