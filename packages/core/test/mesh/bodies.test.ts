/** Values that are fetched when they are read: what comes is held against the verified state, and nothing else is given. */
import { describe, expect, test, vi } from 'vitest'
import type { Chain } from '../../src/data/chain.ts'
import type { Entity } from '../../src/data/entity.ts'
import { defineType } from '../../src/data/entity-type.ts'
import type { OpenOptions } from '../../src/data/open-chain.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { ServerLink } from '../../src/mesh/server-link.ts'
import { GatedEngine } from '../../src/testing/gated-engine.ts'
import { machine, someone, startServer, type TestServer } from './net-kit.ts'

const Note = defineType<{ text: string }>('note')
const me = someone()
const LARGE = 'x'.repeat(2000)

const open = (server: TestServer, options: Partial<OpenOptions> = {}): Promise<Chain> =>
  openChain(`${server.url}/notes`, { as: me, serverKey: server.identity, create: true, ...options }, machine())

describe('bodies on demand', () => {
  test('come when they are read, at any depth of history, and are asked for once', async () => {
    await using server = await startServer()
    await using writer = await open(server)
    const notes = await writer.transact((tx) =>
      Array.from({ length: 20 }, (_, i) => tx.create(Note, { text: `${i} ${LARGE}` })),
    )
    await writer.transact((tx) => tx.update(notes[3]!, () => ({ text: 'new' })))
    await using reader = await open(server, { bodies: 'on-demand' })
    expect((await reader.stats()).logBytes).toBeLessThan(25_000)
    expect((await reader.load(Note, notes[7]!.id)).value.text).toBe(`7 ${LARGE}`)
    expect((await reader.load(Note, notes[3]!.id)).value.text).toBe('new')
    const texts: string[] = []
    for await (const event of reader.events({ until: 'end' }))
      if (event.type === 'note') texts.push((await event.value(Note)).text.slice(0, 3))
    expect(texts).toHaveLength(21)
    expect(texts[3]).toBe('3 x')
    expect((await reader.verify()).ok).toBe(true)
    await reader.transact((tx) => tx.update(notes[5]!, ({ text }) => ({ text: `${text}!` })))
    await writer.refresh()
    expect((await writer.load(Note, notes[5]!.id)).value.text).toBe(`5 ${LARGE}!`)
  })

  test('that many ask for at once come as far as there is room, more than a slow reader is cut off for, and are kept once', async () => {
    await using server = await startServer()
    await using writer = await open(server)
    const note = await writer.transact((tx) => tx.create(Note, { text: 'x'.repeat(900_000) }))
    await using reader = await open(server, { bodies: 'on-demand' })
    const read = (): Promise<Entity<unknown> | undefined> => reader.get(Note, note.id, { use: 'once' })
    const all = await Promise.all(Array.from({ length: 20 }, read))
    expect(all.every((found) => found)).toBe(true)
    const asked = vi.spyOn(ServerLink.prototype, 'body')
    await read()
    await read()
    expect(asked).not.toHaveBeenCalled()
  })

  test('that are altered on the way are BAD_BODY; without a connection it is OFFLINE', async () => {
    let lies = false
    const server = await startServer({
      engineOf: (engine) =>
        new (class extends GatedEngine {
          override readPart(seq: number, offset: number, size: number): Uint8Array | Promise<Uint8Array> {
            const part = (super.readPart(seq, offset, size) as Uint8Array).slice()
            if (lies && size > 1000 && offset > 275) part[9] = part[9]! ^ 1
            return part
          }
        })(engine),
    })
    const writer = await open(server)
    const notes = await writer.transact((tx) => [tx.create(Note, { text: LARGE }), tx.create(Note, { text: LARGE })])
    const reader = await open(server, { bodies: 'on-demand' })
    lies = true
    await expect(reader.load(Note, notes[0]!.id)).rejects.toMatchObject({ code: 'BAD_BODY' })
    lies = false
    expect((await reader.load(Note, notes[0]!.id)).value.text).toBe(LARGE)
    await server.close()
    await expect(reader.load(Note, notes[1]!.id)).rejects.toMatchObject({ code: 'OFFLINE' })
    await Promise.all([reader.close(), writer.close()])
  })
})
