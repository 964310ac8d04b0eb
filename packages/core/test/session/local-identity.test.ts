// Identities of this machine: files that are whole, closed and never overwritten; the environment of containers.
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from '../../src/base/bytes.ts'
import { platform as browserPlatform } from '../../src/browser/platform.ts'
import { platform as nodePlatform } from '../../src/node/platform.ts'
import { nodeState } from '../../src/node/state.ts'
import { identitySeed, isIdentity } from '../../src/session/identity.ts'
import { createIdentity, machineIdentity, openIdentity, saveIdentity } from '../../src/session/local-identity.ts'
import type { Platform } from '../../src/session/platform.ts'
import { codeOf, makers, memoryPlatform, quick, singleSpaced, textsOf } from './fixtures.ts'

const folder = fs.mkdtempSync(join(tmpdir(), 'ate-identity-'))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))
const posix = process.platform !== 'win32'
const sealing = { passphrase: 'correct horse', parameters: quick }

describe('identity files', () => {
  it('are made without arguments in memory, and from a seed where one is given', async () => {
    const one = await createIdentity()
    expect(isIdentity(one)).toBe(true)
    expect((await createIdentity()).fingerprint).not.toBe(one.fingerprint)
    expect((await createIdentity(makers(1))).fingerprint).toBe((await createIdentity(makers(1))).fingerprint)
  })

  it('are saved and opened on a real disk, with mode 0600', async () => {
    const identity = await createIdentity()
    for (const [name, options] of [
      ['plain.ate', {}],
      ['sealed.ate', sealing],
    ] as const) {
      const file = join(folder, name)
      const before = process.umask(0)
      await saveIdentity(identity, file, options)
      process.umask(before)
      if (posix) expect(fs.statSync(file).mode & 0o777).toBe(0o600)
      expect((await openIdentity(file, options)).fingerprint).toBe(identity.fingerprint)
      expect(await codeOf(() => saveIdentity(identity, file, options))).toBe('IDENTITY_EXISTS')
    }
    expect(await codeOf(() => openIdentity(join(folder, 'sealed.ate')))).toBe('PASSPHRASE_NEEDED')
    expect(await codeOf(() => openIdentity(join(folder, 'sealed.ate'), { passphrase: 'x' }))).toBe('WRONG_PASSPHRASE')
    expect(fs.readdirSync(folder).sort()).toEqual(['plain.ate', 'sealed.ate'])
  })

  it.runIf(posix)('are refused if others have any permission', async () => {
    const file = join(folder, 'open.ate')
    await saveIdentity(await createIdentity(), file)
    for (const mode of [0o640, 0o604, 0o610, 0o620, 0o602, 0o601]) {
      fs.chmodSync(file, mode)
      await expect(openIdentity(file)).rejects.toThrow(/^INSECURE_FILE.*0600/)
    }
    fs.chmodSync(file, 0o400)
    expect(isIdentity(await openIdentity(file))).toBe(true)
  })

  it('are made where there is none, if that was asked for', async () => {
    const platform = memoryPlatform()
    expect(await codeOf(() => openIdentity('me.ate', {}, platform))).toBe('BAD_IDENTITY')
    const made = await openIdentity('me.ate', { create: true }, platform)
    expect((await openIdentity('me.ate', { create: true }, platform)).fingerprint).toBe(made.fingerprint)
    fs.writeFileSync(join(folder, 'a file'), '')
    expect(await codeOf(() => openIdentity(join(folder, 'a file', 'x'), { create: true }))).toBe('IO_ERROR')
  })

  it('are made in a folder that is not there yet, and it is closed to others', async () => {
    const file = join(folder, 'new', 'folder', 'me.ate')
    const made = await openIdentity(file, { create: true })
    expect((await openIdentity(file)).fingerprint).toBe(made.fingerprint)
    if (posix)
      for (const name of ['new', 'new/folder']) expect(fs.statSync(join(folder, name)).mode & 0o777).toBe(0o700)
  })

  it('of another process that was first are taken', async () => {
    const platform = memoryPlatform()
    const first = await openIdentity('first.ate', { create: true }, platform)
    const late: Platform = {
      ...platform,
      files: {
        read: async (path) => platform.disk.get(path),
        create: async (path) => {
          platform.disk.set(path, platform.disk.get('first.ate')!)
          return false
        },
      },
    }
    expect((await openIdentity('late.ate', { create: true }, late)).fingerprint).toBe(first.fingerprint)
  })

  it('that are no identities are refused without showing what is in them', async () => {
    const platform = memoryPlatform()
    for (const text of ['', 'hunter2', '{"seed":"hunter2"}', 'x'.repeat(1e6)]) {
      platform.disk.set('x', { text, mode: 0o600 })
      const error = await openIdentity('x', {}, platform).catch((reason: unknown) => reason)
      expect(inspect(error)).toContain('BAD_IDENTITY')
      expect(inspect(error)).not.toContain('hunter2')
    }
  })

  it('leave no bytes of the secret in any error', async () => {
    const platform = memoryPlatform()
    const identity = await openIdentity('me.ate', { create: true }, platform)
    const file = platform.disk.get('me.ate')!
    const text = file.text
    for (let at = 30; at < text.length; at += 11) {
      file.text = text.slice(0, at) + (text[at] === '0' ? '1' : '0') + text.slice(at + 1)
      const error = await openIdentity('me.ate', {}, platform).catch((reason: unknown) => reason)
      const shown = singleSpaced(
        inspect(error, { depth: 20, showHidden: true, maxArrayLength: null, maxStringLength: null }),
      )
      for (const secret of textsOf(identitySeed(identity))) expect(shown).not.toContain(singleSpaced(secret))
      // Nor a line of the file, in which the secret stands.
      for (const line of text.split('\n').slice(1, -2)) expect(shown).not.toContain(line.slice(0, 20))
    }
  })
})

describe("this machine's identity", () => {
  it('is made on first use and is the same afterwards, outside of every chain', async () => {
    const home = join(folder, 'home')
    const platform: Platform = { ...memoryPlatform(), state: nodeState(home) }
    const made = await machineIdentity({}, platform)
    expect((await machineIdentity({}, platform)).fingerprint).toBe(made.fingerprint)
    expect(fs.readFileSync(join(home, 'identity'), 'utf8')).toMatch(/^-----BEGIN ATE IDENTITY-----/)
    if (!posix) return
    fs.chmodSync(join(home, 'identity'), 0o644)
    expect(await codeOf(() => machineIdentity({}, platform))).toBe('INSECURE_FILE')
  })

  it('is one, however many start at once', async () => {
    const state = nodeState(join(folder, 'together'))
    const all = await Promise.all([1, 2, 3, 4].map((seed) => machineIdentity({}, memoryPlatform(seed, state))))
    expect(new Set(all.map((identity) => identity.fingerprint)).size).toBe(1)
  })

  it('is sealed if the environment has a passphrase', async () => {
    const platform = memoryPlatform()
    platform.variables.set('ATE_PASSPHRASE', 'correct horse')
    const made = await machineIdentity({ parameters: quick }, platform)
    expect(fromUtf8((await platform.state.get('identity'))!)).toMatch(/^-----BEGIN SEALED/)
    expect((await machineIdentity({}, platform)).fingerprint).toBe(made.fingerprint)
    platform.variables.delete('ATE_PASSPHRASE')
    expect(await codeOf(() => machineIdentity({}, platform))).toBe('PASSPHRASE_NEEDED')
    expect((await machineIdentity({ passphrase: 'correct horse' }, platform)).fingerprint).toBe(made.fingerprint)
    platform.variables.set('ATE_PASSPHRASE_FILE', '/run/secrets/p')
    platform.disk.set('/run/secrets/p', { text: 'correct horse\n', mode: 0o444 })
    expect((await machineIdentity({}, platform)).fingerprint).toBe(made.fingerprint)
    platform.disk.set('/run/secrets/p', { text: 'correct horse\n', mode: 0o446 })
    expect(await codeOf(() => machineIdentity({}, platform))).toBe('INSECURE_FILE')
    platform.disk.delete('/run/secrets/p')
    expect(await codeOf(() => machineIdentity({}, platform))).toBe('BAD_IDENTITY')
  })

  it('comes from the environment of a container before anything else', async () => {
    const source = memoryPlatform(7)
    const identity = await openIdentity('me.ate', { create: true }, source)
    const { text } = source.disk.get('me.ate')!
    const platform = memoryPlatform()
    await machineIdentity({}, platform)
    platform.variables.set('ATE_IDENTITY_FILE', '/run/secrets/identity')
    platform.disk.set('/run/secrets/identity', { text, mode: 0o444 })
    expect((await machineIdentity({}, platform)).fingerprint).toBe(identity.fingerprint)
    platform.disk.get('/run/secrets/identity')!.mode = 0o464
    expect(await codeOf(() => machineIdentity({}, platform))).toBe('INSECURE_FILE')
    platform.disk.delete('/run/secrets/identity')
    expect(await codeOf(() => machineIdentity({}, platform))).toBe('BAD_IDENTITY')
    for (const form of [text, text.replaceAll('\n', '\\n'), text.replaceAll('\n', ' ')]) {
      platform.variables.set('ATE_IDENTITY', form)
      expect((await machineIdentity({}, platform)).fingerprint).toBe(identity.fingerprint)
    }
    platform.variables.set('ATE_IDENTITY', 'nonsense')
    expect(await codeOf(() => machineIdentity({}, platform))).toBe('BAD_IDENTITY')
  })

  it('is not made anew over one that is damaged', async () => {
    const platform = memoryPlatform()
    for (const bytes of [utf8('damaged'), Uint8Array.of(0xff), new Uint8Array(100_000)]) {
      await platform.state.put('identity', bytes)
      expect(await codeOf(() => machineIdentity({}, platform))).toBe('BAD_IDENTITY')
      expect(await platform.state.get('identity')).toEqual(bytes)
    }
  })
})

describe('platforms', () => {
  it('have all their parts', async () => {
    for (const platform of [nodePlatform, browserPlatform]) {
      expect(platform.crc32(utf8('123456789'))).toBe(0xcbf43926)
      expect(platform.crc32(utf8('6789'), platform.crc32(utf8('12345')))).toBe(0xcbf43926)
      const random = new Uint8Array(100_000)
      platform.environment.random.fill(random)
      expect(random.subarray(-64).some((byte) => byte !== 0)).toBe(true)
      expect(platform.environment).toBe(platform.environment)
      expect(platform.state).toBe(platform.state)
      expect(platform.crypto.sha256(utf8('')).subarray(0, 4)).toEqual(Uint8Array.of(0xe3, 0xb0, 0xc4, 0x42))
    }
    process.env['ATE_TEST_VARIABLE'] = ''
    expect(nodePlatform.variable('ATE_TEST_VARIABLE')).toBeUndefined()
    process.env['ATE_TEST_VARIABLE'] = 'x'
    expect(nodePlatform.variable('ATE_TEST_VARIABLE')).toBe('x')
    delete process.env['ATE_TEST_VARIABLE']
  })

  it('open a folder where there are files, and say so where there are none', async () => {
    const files = await nodePlatform.openFolder(join(folder, 'chain'))
    files.makeFolder('')
    expect(files.list('')).toEqual([])
    expect(await codeOf(() => browserPlatform.openFolder('x'))).toBe('BAD_URL')
    expect(await codeOf(() => openIdentity('x', {}, browserPlatform))).toBe('BAD_URL')
    const [one, two] = [await machineIdentity({}, browserPlatform), await machineIdentity({}, browserPlatform)]
    expect(one.fingerprint).toBe(two.fingerprint)
  })
})
