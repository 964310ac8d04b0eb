/**
 * Secrets that a client has written are nowhere in the server: not in the memory of its process, its folder, what it says,
 * its arguments or its environment. Nor is the wire where they could be read. ATE_CANARIES sets how many.
 */
import { mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { randomBytes } from '../../src/base/environment.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { platform } from '../../src/node/platform.ts'
import { newIdentity } from '../../src/session/identity.ts'
import { machine } from './net-kit.ts'
import { start } from './process-kit.ts'

const COUNT = Number(process.env['ATE_CANARIES'] ?? 300)
const Secret = defineType<{ text: string; bytes: Uint8Array }>('secret')
/** Processes start slowly where many others run. */
const TIMEOUT_MS = Number(process.env['ATE_TEST_TIMEOUT_MS'] ?? 300_000)
const CHUNK_BYTES = 1024 * 1024
let root = ''

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-canaries-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** All of a process's memory that it writes to, chunk by chunk, with an overlap. */
function* memoryOf(pid: number): Generator<Buffer, void, void> {
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const [, from = '', to = '', rights = ''] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? []
    if (!rights.startsWith('rw') || line.includes('[v')) continue
    const end = Number.parseInt(to, 16)
    for (let at = Number.parseInt(from, 16); at < end; at += CHUNK_BYTES - 256) {
      const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, end - at))
      try {
        yield chunk.subarray(0, readSync(memory, chunk, 0, chunk.length, at))
      } catch {
        // A page that nobody may read.
      }
    }
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
}

/** A needle stands at some place of the bytes: looked up by its first eight, so that a thousand cost as much as one. */
class Finder {
  readonly #byStart = new Map<bigint, Buffer[]>()

  constructor(needles: readonly Buffer[]) {
    for (const needle of needles) {
      const start = needle.readBigUInt64LE(0)
      this.#byStart.set(start, [...(this.#byStart.get(start) ?? []), needle])
    }
  }

  /** Every text begins with the same bytes, and so does every binary one: those are looked for natively. */
  count(bytes: Buffer): number {
    let found = 0
    for (const needles of this.#byStart.values()) {
      const start = needles[0]!.subarray(0, 8)
      for (let at = bytes.indexOf(start); at >= 0; at = bytes.indexOf(start, at + 1))
        for (const needle of needles) if (bytes.subarray(at, at + needle.length).equals(needle)) found++
    }
    return found
  }
}

function isIn(chunks: Iterable<Buffer>, needles: Finder): boolean {
  for (const chunk of chunks) if (needles.count(chunk) > 0) return true
  return false
}

test.skipIf(process.platform !== 'linux')(
  `${COUNT} secrets are nowhere in a server`,
  { timeout: TIMEOUT_MS },
  async () => {
    const data = join(root, 'data')
    const server = start('server-child', [data, '0'], join(root, 'home'))
    const [url = '', serverKey = ''] = (await server.line((line) => line.startsWith('ws:'))).split(' ')
    const random = platform.environment.random
    const as = newIdentity({ crypto: platform.crypto, random })
    const prefix = randomBytes(random, 8)
    // What is random in them begins behind eight bytes that all share: one search finds all.
    const secrets = Array.from({ length: COUNT }, () => Buffer.concat([prefix, randomBytes(random, 24)]))
    const options = { as, create: true, serverKey }
    const chain = await openChain(`${url}/secrets`, options, machine())
    await Promise.all(
      secrets.map((bytes) =>
        chain.transact((tx) => void tx.create(Secret, { text: bytes.toString('hex'), bytes: Uint8Array.from(bytes) })),
      ),
    )
    // Another client reads all of them through the server.
    const reader = await openChain(`${url}/secrets`, { as, id: chain.id, serverKey }, machine())
    let read = 0
    for await (const { value } of reader.children(Secret)) if ((value as { readonly text: string }).text) read++
    expect(read).toBe(COUNT)
    const seen = as.publicId.slice(0, 20)
    const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le')
    const needles = new Finder(
      secrets.flatMap((bytes) => [
        bytes,
        Buffer.from(bytes.toString('hex')),
        utf16(bytes.toString('hex')),
        // Of three bytes from the start of each: no other alignment is a beginning.
        Buffer.from(bytes.subarray(0, 30).toString('base64')),
        Buffer.from(bytes.subarray(0, 30).toString('base64url')),
      ]),
    )
    const { pid } = server.process
    const found = { memory: 0, disk: 0, output: 0, arguments: 0, environment: 0 }
    let sawPublic = false
    for (const chunk of memoryOf(pid!)) {
      found.memory += needles.count(chunk)
      sawPublic ||= chunk.includes('/secrets') || chunk.includes(seen)
    }
    // The search finds what is there.
    expect(sawPublic).toBe(true)
    for (const path of filesBelow(data)) found.disk += needles.count(readFileSync(path))
    found.output = needles.count(Buffer.from(server.said.join('\n')))
    found.arguments = needles.count(readFileSync(`/proc/${pid}/cmdline`))
    found.environment = needles.count(readFileSync(`/proc/${pid}/environ`))
    expect(found).toEqual({ memory: 0, disk: 0, output: 0, arguments: 0, environment: 0 })
    // The client has them, and the search finds them there.
    expect(isIn(memoryOf(process.pid), needles)).toBe(true)
    await chain.close()
    await reader.close()
    await server.stop()
  },
)
