/**
 * The frozen chain of format 1: every later version opens it, verifies it, and reads the same. Its bytes never change;
 * scenario.ts wrote it with noble's algorithms (scenario.ts may change, and says what stands in it).
 */
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { verifyPlace } from '../../src/data/verify-place.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import { readIdentityText } from '../../src/session/identity-text.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { Account, diskPlatform, Note } from './scenario.ts'

const vector = new URL('../vectors/format-1/', import.meta.url).pathname
const expected = JSON.parse(readFileSync(join(vector, 'expected.json'), 'utf8')) as {
  readonly chainId: string
  readonly head: { readonly seq: number; readonly hash: string }
  readonly alice: string
  readonly bob: string
  readonly bobPassphrase: string
  readonly ids: Readonly<
    Record<'box' | 'changed' | 'moved' | 'deleted' | 'mailbox' | 'reserve' | 'account' | 'letter', string>
  >
}
const { ids } = expected

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A copy: opening for writing changes the manifest. */
function copyOfVector(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ate-format-1-'))
  folders.push(folder)
  cpSync(join(vector, 'chain'), folder, { recursive: true })
  return `file:${folder}`
}

function identity(name: 'alice' | 'bob'): Promise<Identity> {
  const text = readFileSync(join(vector, `${name}.identity`), 'utf8')
  const makers = { crypto: nodeProvider(), random: seededRandom(1) }
  return readIdentityText(makers, text, name === 'bob' ? expected.bobPassphrase : undefined)
}

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => 'nothing was thrown',
    (error) => (isAteError(error) ? error.code : String(error)),
  )
}

describe('format 1', () => {
  it.each([nodeProvider(), nobleProvider])('verifies without a key ($name)', async (crypto) => {
    const report = await verifyPlace(copyOfVector(), {}, diskPlatform(1, crypto))
    expect(report.problems).toEqual([])
    expect(report).toMatchObject({
      ok: true,
      chain: expected.chainId,
      records: 12,
      voids: 0,
      checkpoints: 1,
      attested: 11,
    })
    expect({ seq: report.head!.seq, hash: toHex(report.head!.hash) }).toEqual(expected.head)
  })

  it('reads as it was written', async () => {
    const alice = await identity('alice')
    expect(alice.fingerprint).toBe(expected.alice)
    await using chain = await openChain(copyOfVector(), { as: alice, readOnly: true }, diskPlatform(1, nodeProvider()))
    const texts: string[] = []
    for await (const note of chain.children(Note, ids.box)) texts.push(note.value.text)
    expect(texts).toHaveLength(19)
    expect(texts.slice(0, 3)).toEqual(['note 0, changed', 'note 3', 'note 4'])
    expect(texts.at(-1)).toBe('without bob')
    expect((await chain.children(Note, ids.box, 'moved').page()).map(({ id }) => id)).toEqual([ids.moved])
    expect(await chain.get(Note, ids.deleted)).toBeUndefined()
    expect((await chain.load(Note, ids.letter)).value).toEqual({ text: 'a letter' })
    expect((await chain.named(Account, 'reserve'))?.id).toBe(ids.reserve)
    expect((await chain.named(Note, 'kept'))?.value).toEqual({ text: 'kept' })
    expect([chain.counter(ids.account, 'balance'), chain.counter(ids.reserve, 'balance')]).toEqual([7n, 23n])
    expect(chain.writers().map(({ identity: who, commits, unattested }) => ({ who, commits, unattested }))).toEqual([
      { who: expected.alice, commits: 3, unattested: 0 },
      { who: expected.bob, commits: 1, unattested: 0 },
      { who: expected.alice, commits: 1, unattested: 0 },
    ])
  })

  it('keeps out whom it kept out, and goes on', async () => {
    const bob = await identity('bob')
    expect(bob.fingerprint).toBe(expected.bob)
    const at = copyOfVector()
    const asBob = await openChain(
      at,
      { as: bob, id: expected.chainId, readOnly: true },
      diskPlatform(1, nodeProvider()),
    )
    const codes: string[] = []
    for (const { id } of await asBob.children(Note, ids.box).page({ limit: 18 }))
      codes.push(await codeOf(asBob.load(Note, id)))
    const last = asBob.children(Note, ids.box).ids().at(-1)!
    expect(new Set(codes)).toEqual(new Set(['nothing was thrown']))
    expect(await codeOf(asBob.load(Note, last))).toBe('NO_READ_KEY')
    expect(await codeOf(asBob.load(Note, ids.mailbox))).toBe('NO_READ_KEY')
    await asBob.close()

    const platform = diskPlatform(1, nodeProvider())
    const chain = await openChain(at, { as: await identity('alice') }, platform)
    await chain.transact((tx) => tx.update(Note, ids.changed, () => ({ text: 'written later' })))
    await chain.close()
    expect(await verifyPlace(at, {}, platform)).toMatchObject({ ok: true, records: 14 })
  })
  it('keeps the rules of its level until the root raises it', async () => {
    const platform = diskPlatform(1, nodeProvider())
    const [alice, bob] = [await identity('alice'), await identity('bob')]
    const device = newIdentity({ crypto: nodeProvider(), random: seededRandom(5) })
    const at = copyOfVector()
    const chain = await openChain(at, { as: alice }, platform)
    const take = () => chain.transact((tx) => tx.person().add(device))
    expect(await codeOf(take())).toBe('LEVEL_TOO_LOW')
    expect(await codeOf(chain.transact((tx) => tx.person(bob).remove(expected.bob)))).toBe('LEVEL_TOO_LOW')
    await chain.transact((tx) => tx.settings({ level: 2 }))
    await take()
    await chain.close()
    const onDevice = await openChain(at, { as: device }, platform)
    expect((await onDevice.load(Note, ids.mailbox)).value.text).toBe('mailbox')
    await onDevice.close()
    expect(await verifyPlace(at, {}, platform)).toMatchObject({ ok: true })
  })
})
