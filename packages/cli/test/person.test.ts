/**
 * `ate consent` and `ate person`: a device comes, and goes.
 * @newest-node-only: runs the TypeScript sources
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createIdentity, openChain, saveIdentity } from '@ate/core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Machine, newMachine } from './run-ate.ts'

let machine: Machine
let alice: string
let phone: string
let chainId: string

beforeAll(async () => {
  machine = newMachine()
  const { folder } = machine
  const [owner, device] = [await createIdentity(), await createIdentity()]
  await saveIdentity(owner, join(folder, 'alice.id'))
  await saveIdentity(device, join(folder, 'phone.id'))
  const chain = await openChain(`file:${join(folder, 'notes')}`, { as: owner })
  alice = owner.fingerprint
  phone = device.fingerprint
  chainId = chain.id
  await chain.close()
})
afterAll(() => machine.remove())

const person = (...args: string[]) => machine.quick(['person', 'notes', ...args, '--as', 'alice.id', '--id', chainId])

it('lists the keys of a person, and adds one by its consent', async () => {
  expect((await person()).stdout).toBe('Nobody here has more than one key.\n')
  const consent = await machine.run(['consent', '--as', 'phone.id', '--chain', chainId, '--person', alice])
  expect(consent).toMatchObject({ code: 0, stderr: '' })
  writeFileSync(join(machine.folder, 'consent.txt'), consent.stdout)
  const added = await person('add', 'consent.txt')
  expect(added.stdout).toBe(`person ${alice}\n  owner   ${alice}\n  device  ${phone}\n`)
})

it('removes one for good, by an owner', async () => {
  const asPhone = await machine.run(['person', 'notes', 'remove', alice, '--as', 'phone.id', '--id', chainId])
  expect({ code: asPhone.code, code2: asPhone.stderr.slice(0, 9) }).toEqual({ code: 1, code2: 'NOT_OWNER' })
  const removed = await person('remove', phone, '--json')
  const { persons, rekeyed } = JSON.parse(removed.stdout)
  expect([persons[0].keys[1], rekeyed.length]).toEqual([{ fingerprint: phone, standing: 'removed' }, 1])
  const again = await person('add', 'consent.txt')
  expect([again.code, again.stderr.slice(0, 10)]).toEqual([1, 'KEY_IN_USE'])
})

it.each([
  [['add'], 2, 'error: an action'],
  [['renew', 'x'], 2, 'error: an action'],
  [['burn', 'x'], 2, 'error: an action'],
  [['add', 'no-such-file'], 1, 'BAD_CONSENT'],
  [['remove', 'x'], 1, 'BAD_ID'],
])('%j is refused', async (args, code, begins) => {
  const found = await person(...args)
  expect([found.code, found.stdout, found.stderr.slice(0, begins.length)]).toEqual([code, '', begins])
})
