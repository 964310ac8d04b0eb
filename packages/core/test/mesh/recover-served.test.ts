/**
 * A server whose disk is lost: a backup that is restored there is shown to who manages the root alone, until he has recovered
 * it; or a client has a copy, and gives it back. What clients saw of the lost part is an alarm until then, and none behind it.
 */
import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { appendRecovery } from '../../src/data/append-recovery.ts'
import { Chain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { backup, push, restore } from '../../src/data/on-demand.ts'
import type { OpenOptions } from '../../src/data/open-chain.ts'
import { KIND } from '../../src/event/format.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { recover } from '../../src/mesh/recover.ts'
import type { Served } from '../../src/mesh/serve-options.ts'
import { platform } from '../../src/node/platform.ts'
import { serve } from '../../src/node/serve.ts'
import { type Identity, markKept } from '../../src/session/identity.ts'
import { createIdentity, openIdentity, saveIdentity } from '../../src/session/local-identity.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import type { Platform } from '../../src/session/platform.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import { until } from './kit.ts'
import { machine as bareMachine, someone, startServer } from './net-kit.ts'

const Note = defineType<{ text: string }>('note')
const ROOT = '00000000000000000000000000'

let root = ''
let server: Served
let url = ''
let id: string | undefined
let boss: Identity
let ann: Identity
let home: Platform
let away: Platform

/** A machine with files, and a memory of its own. */
function machine(): Platform {
  return Object.create(platform, { state: { value: memoryState() } }) as Platform
}

async function start(data = 'data'): Promise<void> {
  server = await serve({ listen: url || 'ws://127.0.0.1:0/db', data: join(root, data) })
  url = server.url
}

const served = (data = 'data'): string => `file:${join(root, data, 'chains', 'notes')}`

function open(as: Identity, at: Platform, more: Partial<OpenOptions> = {}): Promise<Chain> {
  return openChain(`${url}/notes`, { as, serverKey: server.publicKey, ...(id ? { id } : {}), ...more }, at)
}

async function write(chain: Chain, text: string): Promise<void> {
  await chain.transact((tx) => void tx.create(Note, { text }))
}

async function texts(chain: Chain): Promise<string[]> {
  const found: string[] = []
  for await (const { value } of chain.children(Note)) found.push(value.text)
  return found.sort()
}

async function seen(as: Identity, at: Platform, more: Partial<OpenOptions> = {}): Promise<string[]> {
  await using chain = await open(as, at, more)
  return texts(chain)
}

/** 'one' is in the backup; 'two' came later, and is lost with the disk. The identity of the server is kept apart. */
async function lose(copies: Partial<OpenOptions> = {}): Promise<void> {
  {
    await using chain = await open(boss, home, { create: true, ...copies })
    id = chain.id
    const both = [boss.publicId, ann.publicId]
    await chain.transact((tx) => tx.setPolicy(ROOT, { read: both, write: both }))
    await write(chain, 'one')
  }
  await server.close()
  await backup(served(), `file:${join(root, 'monday')}`, {}, platform)
  await start()
  {
    await using chain = await open(boss, home, copies)
    await write(chain, 'two')
  }
  expect(await seen(ann, away)).toEqual(['one', 'two'])
  await server.close()
  cpSync(join(root, 'data', 'server-identity'), join(root, 'again', 'server-identity'))
}

async function restoreOnServer(): Promise<void> {
  await restore(`file:${join(root, 'monday')}`, served('again'), {}, platform)
  await start('again')
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'ate-lost-'))
  url = ''
  id = undefined
  await start()
  boss = markKept(someone())
  ann = markKept(someone())
  home = machine()
  away = machine()
})

afterEach(async () => {
  await server.close()
  rmSync(root, { recursive: true, force: true })
})

describe('a backup that is restored on the server', () => {
  test('is written by nobody until who manages the root has recovered it; then all go on, and nobody is alarmed', async () => {
    await lose()
    await restoreOnServer()
    await expect(open(ann, away)).rejects.toMatchObject({ code: 'CHAIN_COPY', facts: { name: 'notes' } })
    const as = { as: ann, serverKey: server.publicKey, id: id! }
    expect(await codeOf(() => recover(`${url}/notes`, as, away))).toBe('CHAIN_COPY')
    expect(await codeOf(() => open(boss, home))).toBe('ROLLBACK')
    // He may look at it first, on a machine that has not seen more; and writes nothing.
    {
      await using chain = await open(boss, machine())
      expect(await texts(chain)).toEqual(['one'])
      await expect(write(chain, 'no')).rejects.toMatchObject({ code: 'INDETERMINATE', facts: { code: 'CHAIN_COPY' } })
    }
    const receipt = await recover(`${url}/notes`, { as: boss, serverKey: server.publicKey, id: id! }, home)
    expect(receipt.lost).toHaveLength(1)
    expect(receipt.from).toBeLessThanOrEqual(receipt.lost[0]!.seq)
    {
      await using chain = await open(boss, home)
      await write(chain, 'three')
      await using other = await open(ann, away)
      await write(other, 'four')
      await chain.refresh()
      expect(await texts(chain)).toEqual(['four', 'one', 'three'])
      expect((await chain.verify()).ok).toBe(true)
    }
    // It is the chain now, for the server that is started anew too.
    await server.close()
    await start('again')
    expect(await seen(ann, away)).toEqual(['four', 'one', 'three'])
  })

  test('stays one behind a recovery that is none; what is sent behind one waits for it', async () => {
    await lose()
    await restoreOnServer()
    {
      await using chain = await open(boss, machine())
      const noise = Chain.coreOf(chain).appendOther(KIND.recover, () => new Uint8Array(300))
      await expect(noise).rejects.toMatchObject({ code: expect.stringMatching(/^BAD_/) })
    }
    expect(await codeOf(() => open(ann, away))).toBe('CHAIN_COPY')
    await using chain = await open(boss, machine())
    const recovered = appendRecovery(Chain.coreOf(chain), {}, memoryState())
    await new Promise((resolve) => setImmediate(resolve))
    await Promise.all([recovered, write(chain, 'behind')])
    expect(await texts(chain)).toEqual(['behind', 'one'])
  })

  test('takes the place of copies that have more, once it is recovered, and not before', async () => {
    const copy = { replica: `file:${join(root, 'copy')}` }
    await lose(copy)
    await restoreOnServer()
    expect(await codeOf(() => open(boss, home, copy))).toBe('ROLLBACK')
    // Also where nothing else remembers what it has.
    expect(await codeOf(() => open(boss, machine(), copy))).toBe('ROLLBACK')
    await expect(open(boss, machine(), { ...copy, rollback: 'accept' })).rejects.toThrow(/^ROLLBACK: the copy at file:/)
    await recover(`${url}/notes`, { as: boss, serverKey: server.publicKey, id: id! }, machine())
    expect(await seen(boss, home, copy)).toEqual(['one'])
    expect(await seen(boss, home, copy)).toEqual(['one'])
  })

  test('does not excuse a second loss: the recovery that a copy has seen says nothing of what came behind it', async () => {
    const copy = { replica: `file:${join(root, 'copy')}` }
    await lose(copy)
    await restoreOnServer()
    await recover(`${url}/notes`, { as: boss, serverKey: server.publicKey, id: id! }, home)
    await server.close()
    cpSync(join(root, 'again'), join(root, 'older'), { recursive: true })
    await start('again')
    {
      await using chain = await open(boss, home, copy)
      await write(chain, 'three')
    }
    await server.close()
    await start('older')
    expect(await codeOf(() => open(boss, machine(), copy))).toBe('ROLLBACK')
  })
})

describe('a copy that a client has', () => {
  test('is pushed into the folder of the server: nothing is lost, and nobody is alarmed', async () => {
    await lose({ replica: `file:${join(root, 'copy')}` })
    await push(`file:${join(root, 'copy')}`, served('again'), {}, platform)
    await start('again')
    expect(await seen(ann, away)).toEqual(['one', 'two'])
    await using chain = await open(boss, home)
    await write(chain, 'three')
    expect(await texts(chain)).toEqual(['one', 'three', 'two'])
  })
})

describe('a chain that was begun in a folder', () => {
  test('goes to a server that its root has named, and is written nowhere else', async () => {
    const at = `file:${join(root, 'begun')}`
    {
      await using chain = await openChain(at, { as: boss }, home)
      id = chain.id
      await write(chain, 'one')
      for (const wrong of [[], ['nobody'], 'writer'])
        expect(await codeOf(() => chain.transact((tx) => tx.settings({ sequencers: wrong as never })))).toMatch(/^BAD_/)
      const both = [boss.publicId, ann.publicId]
      await chain.transact((tx) => {
        tx.setPolicy(ROOT, { read: both, write: both })
        tx.settings({ sequencers: [server.publicKey] })
      })
      expect(await codeOf(() => write(chain, 'no'))).toBe('READ_ONLY')
    }
    await server.close()
    await push(at, served(), {}, home)
    await start()
    await using chain = await open(boss, home)
    await write(chain, 'two')
    await using other = await open(ann, away)
    await write(other, 'three')
    expect(await texts(other)).toEqual(['one', 'three', 'two'])
    expect((await other.verify()).ok).toBe(true)
  })

  test('is read only at a server that it has not named, with what to do', async () => {
    const at = `file:${join(root, 'begun')}`
    {
      await using chain = await openChain(at, { as: boss }, home)
      id = chain.id
      await write(chain, 'one')
    }
    await server.close()
    await push(at, served(), {}, home)
    await start()
    await using chain = await open(boss, home)
    expect(await texts(chain)).toEqual(['one'])
    await expect(write(chain, 'no')).rejects.toThrow(/^READ_ONLY.*sequencers/)
    await expect(chain.transact((tx) => tx.settings({ sequencers: [server.publicKey] }))).rejects.toThrow(/^READ_ONLY/)
  })
})

test('the key of a server is exchanged, for the chains that have named the next one, and for clients that know the last', async () => {
  const old = await openIdentity(join(root, 'data', 'server-identity'))
  const next = await createIdentity()
  {
    await using chain = await open(boss, home, { create: true })
    id = chain.id
    await chain.transact((tx) => tx.settings({ sequencers: [old.fingerprint, next.publicId] }))
    await write(chain, 'one')
  }
  await server.close()
  renameSync(join(root, 'data', 'server-identity'), join(root, 'old.id'))
  await saveIdentity(next, join(root, 'data', 'server-identity'))
  const last = { serverKey: old.publicId }
  server = await serve({ listen: url, data: join(root, 'data') })
  expect(await codeOf(() => open(boss, home, last))).toBe('SERVER_CHANGED')
  await server.close()
  expect(await codeOf(() => serve({ listen: url, data: join(root, 'data'), follows: ['old.id' as never] }))).toBe(
    'BAD_ARGUMENT',
  )
  server = await serve({ listen: url, data: join(root, 'data'), follows: [old] })
  expect(server.publicKey).toBe(next.publicId)
  await using chain = await open(boss, home, last)
  await write(chain, 'two')
  await chain.transact((tx) => tx.settings({ sequencers: [next.publicId] }))
  await write(chain, 'three')
  expect(await texts(chain)).toEqual(['one', 'three', 'two'])
})

test('a chain that has failed holds no connection, and so no process, until somebody closes it', async () => {
  await using bare = await startServer()
  const chain = await openChain(`${bare.url}/c`, { as: boss, serverKey: bare.identity, create: true }, bareMachine())
  await write(chain, 'one')
  bare.stores.get('c')!.standing = { state: 'copy', note: '' }
  expect(bare.connections.size).toBe(1)
  await expect(write(chain, 'two')).rejects.toMatchObject({ code: 'INDETERMINATE', facts: { code: 'CHAIN_COPY' } })
  await until(() => bare.connections.size === 0, 'the end of the connection')
  expect(await texts(chain)).toEqual(['one'])
  expect(await codeOf(() => chain.refresh())).toBe('CHAIN_COPY')
  await chain.close()
})
