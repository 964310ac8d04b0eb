/**
 * Planted secrets: values, names, keys. After a workload with refusals and failures none of them stands in an error, in
 * what people see of public objects, in the files of the log or in this machine's state, except sealed.
 */
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { AteError } from '../../src/base/errors.ts'
import { decodeCanonical } from '../../src/codec/cbor.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { role } from '../../src/data/policy-input.ts'
import { identitySeed, markKept, newIdentity } from '../../src/session/identity.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { coreOf, crypto, open, person, quickPlatform, shape } from './kit.ts'

const VALUE = 'Xq7-planted-value-of-the-vault'
const NAME = 'Kz3-planted-name-of-an-entity'
const KEY = 'Wv9-planted-key-of-an-index'

interface Planted {
  readonly secret: string
  readonly key: string
}
const Planted = defineType('planted', shape<Planted>({ secret: 'string', key: 'string' }), {
  indexes: { key: ({ key }) => key },
})

function forms(text: string): string[] {
  const bytes = utf8(text)
  return [text, toHex(bytes), Buffer.from(bytes).toString('base64').slice(0, 32), bytes.slice(0, 12).join(', ')]
}

function contains(bytes: Uint8Array, secret: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(Buffer.from(secret))
}

describe('planted secrets', () => {
  it('stand nowhere but sealed', async () => {
    const state = memoryState()
    const platform = quickPlatform(5, { state })
    const as = markKept(newIdentity({ crypto, random: seededRandom(99) }))
    const seed = identitySeed(as)
    const chain = await open('file:/c', { as }, platform)
    const errors: unknown[] = []
    const attempt = async (run: () => unknown): Promise<void> => {
      try {
        await run()
      } catch (error) {
        errors.push(error)
      }
    }
    const value = { secret: VALUE, key: KEY }
    const made = await chain.transact((tx) => {
      tx.role('crew').add(person('bob').publicId)
      const made = tx.create(Planted, value, { name: NAME, read: [role('crew')], write: [role('crew')] })
      tx.create(Planted, value, { parent: made })
      return made
    })
    const Other = defineType<Planted>('other')
    const Strict = defineType('planted', shape<Planted>({ secret: 'string', key: 'string', missing: 'string' }))
    await attempt(() => chain.transact((tx) => tx.create(Planted, value, { name: NAME })))
    await attempt(() => chain.transact((tx) => tx.create(Planted, { ...value, key: 5 } as never)))
    await attempt(() => chain.transact((tx) => tx.create(Planted, { ...value, secret: { VALUE } } as never)))
    await attempt(() => chain.transact((tx) => tx.create(Other, { ...value, f: () => VALUE } as never)))
    await attempt(() => chain.get(Other, made))
    await attempt(() => chain.get(Strict, made.id))
    await attempt(() => chain.load(Planted, '0123456789abcdefghjkmnpq00'))
    await attempt(() => chain.named(Planted, NAME, { parent: '0123456789abcdefghjkmnpq00' }))
    await attempt(() => chain.transact((tx) => tx.put(Planted, NAME, { key: KEY } as never)))
    await attempt(() => chain.transact((tx) => tx.delete(made)))
    await attempt(() => chain.transact((tx) => tx.role('crew').remove(person('bob').publicId)))
    await attempt(() => chain.transact((tx) => tx.update(made, (old) => ({ ...old, key: `${KEY} 2` }))))
    expect((await chain.find(Planted, 'key', KEY)).length).toBe(1)
    platform.disk('/c').faults.spaceBytes = 1
    await attempt(() => chain.transact((tx) => tx.create(Other, { ...value, bytes: new Uint8Array(600_000) } as never)))
    platform.disk('/c').faults = {}
    const tx = chain.begin()
    tx.create(Planted, value)
    const bob = await open('file:/c', { as: person('eve'), id: chain.id, readOnly: true }, platform)
    await attempt(() => bob.get(Planted, made.id))
    await attempt(() => bob.named(Planted, NAME))
    const removed = bob.children(Planted, made.id)
    await attempt(() => removed.page())
    const records = []
    for await (const record of chain.records()) records.push(record)
    const events = []
    for await (const event of chain.events({ until: 'end' })) events.push(event)

    expect(errors.length).toBeGreaterThan(12)
    for (const error of errors) expect(error, inspect(error)).toBeInstanceOf(AteError)
    // An entity's handle and its value are what the user asked for; everything else is silent.
    const shown = [
      chain,
      bob,
      tx,
      removed,
      as,
      coreOf(chain),
      coreOf(chain).keys,
      coreOf(chain).staging,
      ...errors,
      records,
      events,
    ]
    const secrets = [
      ...forms(VALUE),
      ...forms(NAME),
      ...forms(KEY),
      toHex(seed.slice(0, 16)),
      seed.slice(0, 12).join(', '),
    ]
    for (const object of shown) {
      const options = { depth: 12, getters: false, maxArrayLength: null, maxStringLength: null } as const
      const text = `${inspect(object, options)}\n${String((object as Error).stack ?? '')}`.replace(/\s+/g, ' ')
      const json = safeJson(object)
      for (const secret of secrets) {
        if (object === coreOf(chain) || object === coreOf(chain).staging) continue
        expect(text.includes(secret), `${secret} in ${object?.constructor?.name}: ${text.slice(0, 200)}`).toBe(false)
        expect(json.includes(secret), `${secret} in the JSON of ${object?.constructor?.name}`).toBe(false)
      }
    }
    await bob.close()
    tx.rollback()
    await chain.close()

    const fs = platform.disk('/c')
    for (const [name, bytes] of [...fs.files().map((path) => [path, fs.peek(path)] as const), ...fs.durableBytes()]) {
      for (const secret of [
        utf8(VALUE),
        utf8(NAME),
        utf8(KEY),
        seed.slice(0, 16),
        seed.slice(32, 48),
        seed.slice(64, 80),
      ]) {
        expect(contains(bytes, secret), `${toHex(secret)} in ${name}`).toBe(false)
      }
    }
    for (const prefix of ['heads/', 'certificates/']) {
      for (const name of await state.list(`${prefix}`)) {
        const bytes = (await state.get(name))!
        for (const secret of [utf8(VALUE), utf8(NAME), utf8(KEY), seed.slice(0, 16)]) {
          expect(contains(bytes, secret)).toBe(false)
        }
      }
    }
    // The checks above can fail: the same search finds what stands in clear.
    const all = fs.files().map((path) => fs.peek(path))
    expect(all.some((bytes) => contains(bytes, utf8('planted')))).toBe(true)
    expect(all.some((bytes) => contains(bytes, as.fingerprintBytes))).toBe(true)
  })

  it('a session key is kept only where it is meant to be, and wiped from the writer at its end', async () => {
    const state = memoryState()
    const platform = quickPlatform(5, { state })
    const as = markKept(newIdentity({ crypto, random: seededRandom(99) }))
    const chain = await open('file:/c', { as }, platform)
    await chain.transact((tx) => tx.create(Planted, { secret: 'a', key: 'b' }))
    const [name] = await state.list('certificates/')
    const kept = (await state.get(name!))!
    await chain.close()
    const fs = platform.disk('/c')
    const { seed: key } = decodeCanonical(kept) as { seed: Uint8Array }
    expect(key.length).toBe(32)
    for (const path of fs.files()) expect(contains(fs.peek(path), key)).toBe(false)
  })
})

function safeJson(object: unknown): string {
  try {
    return (
      JSON.stringify(object, (_, value) =>
        typeof value === 'bigint' ? String(value) : value instanceof Map ? [...value] : value,
      ) ?? ''
    )
  } catch {
    return ''
  }
}
