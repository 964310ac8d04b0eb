/**
 * Copies on the command line: backup, restore, push, salvage, recover and destroy, one after the other as people use them.
 * @newest-node-only: runs the TypeScript sources
 */
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createIdentity, defineType, type Identity, openChain, openIdentity, saveIdentity } from '@ate/core'
import { serve } from '@ate/core/server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Machine, newMachine, type Outcome } from './run-ate.ts'

const Note = defineType<{ text: string }>('note')

let machine: Machine
let chainId: string
let booksId: string
const at = (name: string): string => join(machine.folder, name)

beforeAll(async () => {
  machine = newMachine()
  const alice = await createIdentity()
  await saveIdentity(alice, at('alice.id'))
  chainId = await chainAt('notes', alice)
  booksId = await chainAt('books', alice)
})

async function chainAt(name: string, as: Identity): Promise<string> {
  const chain = await openChain(`file:${at(name)}`, { as })
  for (const text of ['milk', 'bread']) await chain.transact((tx) => tx.create(Note, { text }))
  await chain.close()
  return chain.id
}

afterAll(() => machine.remove())

describe('arguments', () => {
  it.each([
    [['backup', 'x']],
    [['restore', 'x']],
    [['push', 'x']],
    [['salvage', 'x']],
    [['recover']],
    [['recover', 'x', '--from', '-1']],
    [['destroy']],
    [['destroy', 'notes']],
  ])('%j is a mistake: exit code 2, nothing done', async (args) => {
    const { code, stdout, stderr } = await machine.quick(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).not.toBe('')
    expect(existsSync(at('notes/MANIFEST'))).toBe(true)
  })

  it.each(['backup', 'restore', 'push', 'salvage', 'recover', 'destroy'])('%s --help helps', async (command) => {
    const { code, stdout } = await machine.quick([command, '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain(`Usage: ate ${command}`)
  })
})

describe('a chain', () => {
  it('is backed up beside its writer, restored, refused for writing with what to do, and recovered', async () => {
    const writer = await openChain(`file:${at('notes')}`, { as: await openIdentity(at('alice.id')) })
    const backedUp = await machine.run(['backup', 'notes', 'backup', '--json'])
    await writer.close()
    expect(backedUp.stderr).toBe('')
    const receipt = JSON.parse(backedUp.stdout)
    expect(receipt).toMatchObject({ chain: chainId, keys: 0, files: 2 })
    expect(receipt.head.hash).toMatch(/^[0-9a-f]{64}$/)
    expect(statSync(at('backup/BACKUP')).mode & 0o777).toBe(0o600)
    expect(readdirSync(at('backup')).sort()).toEqual(['BACKUP', 'MANIFEST', 'seg-000000.ate'])

    const restored = await machine.run(['restore', 'backup', 'restored'])
    expect({ code: restored.code, stderr: restored.stderr }).toEqual({ code: 0, stderr: '' })
    expect(restored.stdout).toContain('read-only until `ate recover`')
    expect(restored.stdout).toContain(`chain      ${chainId}\n`)
    expect((await machine.quick(['verify', 'restored', '--id', chainId])).code).toBe(0)
    const dumped = await machine.quick(['dump', 'restored', '--as', 'alice.id'])
    expect(dumped.stdout).toContain("value: { text: 'bread' }")

    const others = await machine.quick(['recover', 'restored', '--id', chainId])
    expect([others.code, others.stderr]).toEqual([1, expect.stringContaining('NOT_AUTHORIZED')])
    const recovered = await machine.run(['recover', 'restored', '--as', 'alice.id'])
    expect({ code: recovered.code, stderr: recovered.stderr }).toEqual({ code: 0, stderr: '' })
    expect(recovered.stdout).toContain(`from record ${receipt.records} on is lost`)
    const report = await machine.quick(['verify', 'restored', '--id', chainId])
    expect(report.stdout).toContain('recovered  1 time after a loss')
    expect((await machine.quick(['dump', 'restored', '--as', 'alice.id'])).stdout).toMatch(/^#\d+ recover /m)
  })

  it('of a server is restored in its folder, and recovered by its address', async () => {
    const alice = await openIdentity(at('alice.id'))
    const begin = (data: string): ReturnType<typeof serve> => serve({ listen: 'ws://127.0.0.1:0/db', data: at(data) })
    const first = await begin('served')
    const chain = await openChain(`${first.url}/notes`, { as: alice, create: true, serverKey: first.fingerprint })
    await chain.transact((tx) => tx.create(Note, { text: 'served' }))
    await chain.close()
    await first.close()
    expect((await machine.run(['backup', 'served/chains/notes', 'served-backup'])).code).toBe(0)
    cpSync(at('served/server-identity'), at('served-again/server-identity'))
    expect((await machine.run(['restore', 'served-backup', 'served-again/chains/notes'])).code).toBe(0)
    const beside = await machine.quick(['recover', 'served-again/chains/notes', '--as', 'alice.id', '--id', chain.id])
    expect([beside.code, beside.stderr]).toEqual([1, expect.stringMatching(/^READ_ONLY: .*by its address/)])
    await using second = await begin('served-again')
    const at2 = `${second.url}/notes`
    const early = await machine.run(['queue', 'ls', at2, '--id', chain.id])
    expect([early.code, early.stderr]).toEqual([1, expect.stringContaining('NOT_AUTHORIZED')])
    const recovered = await machine.run(['recover', at2, '--as', 'alice.id', '--id', chain.id])
    expect({ code: recovered.code, stderr: recovered.stderr }).toEqual({ code: 0, stderr: '' })
    expect(recovered.stdout).toMatch(/^recovered by record \d+: /)
    const again = await openChain(at2, { as: alice, id: chain.id, serverKey: second.fingerprint })
    await again.transact((tx) => tx.create(Note, { text: 'after' }))
    await again.close()
  })

  it('goes from a folder to a server, which orders its records from then on', async () => {
    const alice = await openIdentity(at('alice.id'))
    const id = await chainAt('begun', alice)
    const push = ['push', 'begun', 'hosted/chains/begun', '--to-server', '--as', 'alice.id', '--id', id]
    const early = await machine.quick(push)
    expect([early.code, early.stderr]).toEqual([1, expect.stringMatching(/^BAD_ARGUMENT: .*DATA\/chains\/NAME/)])
    const begin = (): ReturnType<typeof serve> => serve({ listen: 'ws://127.0.0.1:0/db', data: at('hosted') })
    await (await begin()).close()
    const pushed = await machine.run(push)
    expect({ code: pushed.code, stderr: pushed.stderr }).toEqual({ code: 0, stderr: '' })
    expect((await machine.quick(push)).code).toBe(0)
    await using server = await begin()
    const chain = await openChain(`${server.url}/begun`, { as: alice, id, serverKey: server.fingerprint })
    await chain.transact((tx) => tx.create(Note, { text: 'at the server' }))
    await chain.close()
  })

  it('that has named another server, or was moved before it named one, is not moved to this one', async () => {
    const alice = await openIdentity(at('alice.id'))
    const fingerprints: string[] = []
    for (const data of ['one', 'other']) {
      // Only the fingerprint is needed of a sealed one.
      const sealing = data === 'one' ? { passphrase: 'open sesame' } : {}
      const server = await serve({ listen: 'ws://127.0.0.1:0/db', data: at(data), ...sealing })
      fingerprints.push(server.fingerprint)
      await server.close()
    }
    const id = await chainAt('named', alice)
    const chain = await openChain(`file:${at('named')}`, { as: alice })
    await chain.transact((tx) => tx.settings({ sequencers: [fingerprints[0]!] }))
    await chain.close()
    const to = (data: string, from = 'named'): Promise<Outcome> =>
      machine.quick(['push', from, `${data}/chains/named`, '--to-server', '--as', 'alice.id', '--id', id])
    const refused = await to('other')
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/^READ_ONLY: the root has named other/)])
    expect(refused.stderr).toContain(`named: ${fingerprints[0]}`)
    expect(existsSync(at('other/chains/named'))).toBe(false)
    expect((await machine.quick(['verify', 'named', '--id', id])).stdout).toContain(`ordered    by ${fingerprints[0]}`)
    expect((await to('one')).code).toBe(0)

    const other = await chainAt('early', alice)
    const moved = ['push', 'early', 'one/chains/early', '--id', other]
    expect((await machine.quick(moved)).code).toBe(0)
    const late = await machine.quick([...moved, '--to-server', '--as', 'alice.id'])
    expect([late.code, late.stderr]).toEqual([1, expect.stringMatching(/^CHAIN_MOVED: it was moved before the root/)])
    expect((await machine.quick(['push', 'one/chains/early', 'back', '--id', other])).code).toBe(0)
    const again = ['push', 'back', 'one/chains/early2', '--id', other, '--to-server', '--as', 'alice.id']
    expect((await machine.quick(again)).code).toBe(0)
    await using server = await serve({ listen: 'ws://127.0.0.1:0/db', data: at('one'), passphrase: 'open sesame' })
    const served = await openChain(`${server.url}/early2`, { as: alice, id: other, serverKey: server.fingerprint })
    await served.transact((tx) => tx.create(Note, { text: 'at the server' }))
    await served.close()
  })

  it('has no address in these commands: push has named no server by then', async () => {
    const alice = await openIdentity(at('alice.id'))
    await using server = await serve({ listen: 'ws://127.0.0.1:0/db', data: at('here') })
    await (await serve({ listen: 'ws://127.0.0.1:0/db', data: at('there') })).close()
    const place = `${server.url}/addressed`
    const chain = await openChain(place, { as: alice, create: true, serverKey: server.fingerprint })
    const to = 'there/chains/addressed'
    const push = ['push', place, to, '--to-server', '--as', 'alice.id', '--id', chain.id]
    for (const args of [
      push,
      ['backup', place, 'b'],
      ['restore', 'backup', place],
      ['salvage', place, 's'],
      ['verify', place],
    ]) {
      const { code, stderr } = await machine.quick(args)
      expect([code, stderr]).toEqual([1, expect.stringMatching(/^BAD_ARGUMENT: .*DATA\/chains\/NAME/)])
    }
    await chain.transact((tx) => tx.create(Note, { text: 'still written here' }))
    await chain.close()
  })

  it('whose backup was changed is not restored, and the file is named', async () => {
    const file = at('backup/seg-000000.ate')
    const bytes = readFileSync(file)
    bytes[5000]! ^= 1
    writeFileSync(file, bytes)
    const { code, stdout, stderr } = await machine.quick(['restore', 'backup', 'again', '--json'])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^BAD_BACKUP: .*file: seg-000000\.ate/)
    expect(existsSync(at('again'))).toBe(false)
  })

  it('is moved; the old place says where to', async () => {
    const pushed = await machine.run(['push', 'books', 'moved'])
    expect({ code: pushed.code, stderr: pushed.stderr }).toEqual({ code: 0, stderr: '' })
    expect(pushed.stdout).toContain('books is read-only from now on')
    const again = await machine.quick(['push', 'books', 'third', '--id', booksId])
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining(`to: file:${at('moved')}`)])
    expect((await machine.quick(['verify', 'moved', '--id', booksId])).code).toBe(0)
  })

  it('that is damaged is salvaged, and what is lost is said', async () => {
    cpSync(at('books'), at('bad'), { recursive: true })
    const file = at('bad/seg-000000.ate')
    const bytes = readFileSync(file)
    const before = bytes.length
    bytes[before - 100]! ^= 1
    writeFileSync(file, bytes)
    const said = await machine.run(['salvage', 'bad', 'saved'])
    expect({ code: said.code, stderr: said.stderr }).toEqual({ code: 0, stderr: '' })
    expect(said.stdout).toMatch(/^LOST {7}records \d+ to \d+$/m)
    expect(said.stdout).toMatch(/^damaged {4}seg-000000\.ate at \d+: no whole frame/m)
    const report = JSON.parse((await machine.quick(['salvage', 'bad', 'saved2', '--json'])).stdout)
    expect(report.lost.firstSeq).toBe(report.records)
    expect((await machine.quick(['verify', 'saved', '--id', booksId])).code).toBe(0)
    expect(readFileSync(file).equals(bytes)).toBe(true)
  })

  it('is destroyed by its id, or with --yes', async () => {
    const wrong = await machine.quick(['destroy', 'saved', '--id', `${'0'.repeat(50)}10`])
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('WRONG_CHAIN')])
    const gone = await machine.run(['destroy', 'saved', '--id', booksId, '--json'])
    expect([gone.code, JSON.parse(gone.stdout)]).toEqual([0, { chain: booksId }])
    expect(readdirSync(at('saved'))).toEqual([])
    expect((await machine.quick(['destroy', 'saved2', '--yes'])).stdout).toContain('destroyed saved2')
    const nothing = await machine.quick(['destroy', 'saved2', '--yes'])
    expect([nothing.code, nothing.stderr]).toEqual([1, expect.stringContaining('CHAIN_NOT_FOUND')])
  })
})
