/** The folder of a server: one at a time, an identity that stays, and chains by their names. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openChain } from '../../src/data/open-chain.ts'
import { parseChainName } from '../../src/mesh/chain-name.ts'
import { platform } from '../../src/node/platform.ts'
import { openServerFolder, type ServerFolder } from '../../src/node/server-folder.ts'
import { newIdentity } from '../../src/session/identity.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import { quickPlatform } from '../../src/testing/quick-platform.ts'

let root: string
let open: ServerFolder[]
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-server-'))
  open = []
})
afterEach(async () => {
  for (const folder of open) await folder.close()
  rmSync(root, { recursive: true, force: true })
})

async function opened(path = join(root, 'deep', 'served'), passphrase?: string): Promise<ServerFolder> {
  const folder = await openServerFolder(path, passphrase === undefined ? {} : { passphrase }, platform)
  open.push(folder)
  return folder
}

describe('a folder of a server', () => {
  it('is made with its identity, closed to others, which is the same the next time', async () => {
    const first = await opened()
    const file = join(first.path, 'server-identity')
    expect([statSync(file).mode & 0o777, statSync(first.path).mode & 0o777]).toEqual([0o600, 0o700])
    expect(readFileSync(file, 'utf8')).toContain('BEGIN ATE IDENTITY')
    await first.close()
    expect((await opened()).identity.publicId).toBe(first.identity.publicId)
  })

  it('opens its chains by the platform that it was given', async () => {
    const simulated = quickPlatform(1)
    const folder = await openServerFolder(join(root, 'served'), {}, simulated)
    open.push(folder)
    const name = parseChainName('a')
    const path = folder.chainPath(name)
    expect(await folder.chainFiles.openFolder(path)).toBe(simulated.disk(path))
    expect([await folder.hasChain(name), await folder.chains()]).toEqual([false, []])
    const me = newIdentity({ crypto: simulated.crypto, random: simulated.environment.random })
    const chain = await openChain(`file:${path}`, { as: me, create: true }, simulated)
    await chain.close()
    // The system's disk has nothing of it.
    expect(existsSync(path)).toBe(false)
    expect([await folder.hasChain(name), await folder.chains()]).toEqual([true, ['a']])
    expect((await folder.holdings()).of(me.fingerprint).chains).toBe(1)
  })

  it('in which a file stands in the place of a chain says so, and opens', async () => {
    const folder = await opened()
    const name = parseChainName('a')
    writeFileSync(folder.chainPath(name), '')
    expect(await codeOf(() => folder.hasChain(name))).toBe('NOT_A_CHAIN')
    expect((await folder.holdings()).chains).toBe(1)
  })

  it('is held: a second server is refused, and told what to do', async () => {
    const first = await opened()
    await expect(opened()).rejects.toThrow(/^CHAIN_LOCKED: another server has this folder/)
    await first.close()
    await opened()
  })

  it('whose identity others can read, or is damaged or sealed, is refused and let go', async () => {
    const { path, close } = await opened()
    await close()
    chmodSync(join(path, 'server-identity'), 0o644)
    expect(await codeOf(() => opened())).toBe('INSECURE_FILE')
    chmodSync(join(path, 'server-identity'), 0o600)
    writeFileSync(join(path, 'server-identity'), 'mine')
    expect(await codeOf(() => opened())).toBe('BAD_IDENTITY')
    rmSync(join(path, 'server-identity'))
    await (await opened(path, 'open sesame')).close()
    expect(await codeOf(() => opened())).toBe('PASSPHRASE_NEEDED')
    await opened(path, 'open sesame')
  })

  it('is not one of a chain, nor a file', async () => {
    mkdirSync(join(root, 'chain'))
    writeFileSync(join(root, 'chain', 'MANIFEST'), '')
    expect(await codeOf(() => opened(join(root, 'chain')))).toBe('BAD_ARGUMENT')
    writeFileSync(join(root, 'file'), '')
    expect(await codeOf(() => opened(join(root, 'file')))).toBe('BAD_ARGUMENT')
  })

  it('lists its chains by name, and nothing else', async () => {
    const folder = await opened()
    const names = ['notes', 'team/Notes', 'caf\u00e9'].map(parseChainName)
    for (const name of names) mkdirSync(folder.chainPath(name))
    for (const other of ['Other', 'lost+found~', '.trash']) mkdirSync(join(folder.path, 'chains', other))
    expect(await folder.chains()).toEqual(['caf\u00e9', 'notes', 'team/Notes'])
    expect(await folder.hasChain(names[0]!)).toBe(false)
    writeFileSync(join(folder.chainPath(names[0]!), 'MANIFEST'), '')
    expect([await folder.hasChain(names[0]!), await folder.hasChain(names[1]!)]).toEqual([true, false])
    expect(folder.chainPath(names[1]!)).toBe(join(folder.path, 'chains', 'team+=notes'))
    expect(folder.freeBytes()).toBeGreaterThan(0)
  })
})
