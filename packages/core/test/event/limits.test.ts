/** Limits and shapes at the very limit: what is just as large is taken, what is one larger is refused for that. */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { COMMIT_EVENTS_MAX, EVENT_RARE_BYTES_MAX, NAME_BYTES_MAX, RECORD_BYTES_MAX } from '../../src/base/limits.ts'
import { parseBlockPlaces } from '../../src/event/commit-parse.ts'
import { EntityWords, sameEntity } from '../../src/event/entity-words.ts'
import { RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import { decodeRare, encodeRare } from '../../src/event/rare-fields.ts'
import { encodeSweep, parseSweep } from '../../src/event/sweep.ts'

function factsOf(run: () => unknown): unknown {
  try {
    run()
    return 'nothing was thrown'
  } catch (error) {
    if (!(error instanceof AteError)) throw error
    return { code: error.code, ...error.facts }
  }
}

describe('two entities', () => {
  it('are the same only if all four words are', () => {
    const one = new EntityWords(1, 2, 3, 4)
    expect(sameEntity(one, new EntityWords(1, 2, 3, 4))).toBe(true)
    for (const other of [
      new EntityWords(9, 2, 3, 4),
      new EntityWords(1, 9, 3, 4),
      new EntityWords(1, 2, 9, 4),
      new EntityWords(1, 2, 3, 9),
    ]) {
      expect(sameEntity(one, other)).toBe(false)
    }
  })
})

describe('a sweep', () => {
  const recordOf = (payload: Uint8Array): Uint8Array =>
    new Uint8Array([...new Uint8Array(RECORD_HEAD_BYTES), ...payload])
  const many = (count: number): Uint8Array =>
    encodeSweep(Array.from({ length: count }, (_, i) => new EntityWords(i, 0, 0, 1)))

  it('has as many entities as it says', () => {
    expect(parseSweep(recordOf(many(3)))).toHaveLength(3)
    for (const payload of [
      many(3).slice(0, -1),
      new Uint8Array([...many(3), 0]),
      many(3).fill(2, 0, 1),
      many(3).fill(4, 0, 1),
    ]) {
      expect(factsOf(() => parseSweep(recordOf(payload)))).toMatchObject({ code: 'BAD_RECORD', what: 'sweep' })
    }
  })

  it('has at most so many', () => {
    const record = (count: number): Uint8Array => {
      const payload = many(count)
      const bytes = new Uint8Array(RECORD_HEAD_BYTES + payload.length)
      bytes.set(payload, RECORD_HEAD_BYTES)
      return bytes
    }
    expect(parseSweep(record(COMMIT_EVENTS_MAX))).toHaveLength(COMMIT_EVENTS_MAX)
    const code = { code: 'BAD_RECORD', count: COMMIT_EVENTS_MAX + 1 }
    expect(factsOf(() => parseSweep(record(COMMIT_EVENTS_MAX + 1)))).toMatchObject(code)
  })
})

describe('rare fields', () => {
  it('are not written beyond their size', () => {
    // The encoding of a counter's name has a fixed rest: the text decides the size.
    const fields = (bytes: number): Parameters<typeof encodeRare>[0] => ({ certificate: new Uint8Array(bytes) })
    const rest = encodeRare(fields(100_000)).length - 100_000
    expect(encodeRare(fields(EVENT_RARE_BYTES_MAX - rest)).length).toBe(EVENT_RARE_BYTES_MAX)
    expect(factsOf(() => encodeRare(fields(EVENT_RARE_BYTES_MAX - rest + 1)))).toMatchObject({ code: 'TX_TOO_LARGE' })
  })

  it('have names of at most so many bytes, and are a map', () => {
    const named = (bytes: number): unknown => factsOf(() => decodeRare(encodeRare({ holds: ['x'.repeat(bytes)] })))
    expect(named(NAME_BYTES_MAX)).toBe('nothing was thrown')
    expect(named(NAME_BYTES_MAX + 1)).toMatchObject({ code: 'BAD_RECORD' })
    for (const wrong of [5, null, 'text', []]) {
      const bytes = encodeRare(wrong as never)
      expect(factsOf(() => decodeRare(bytes))).toMatchObject({ code: 'BAD_RECORD' })
    }
  })
})

describe('a commit', () => {
  it('is refused for its size before anything else is looked at', () => {
    expect(factsOf(() => parseBlockPlaces(new Uint8Array(RECORD_BYTES_MAX + 1)))).toMatchObject({
      code: 'BAD_RECORD',
      max: RECORD_BYTES_MAX,
    })
    expect(factsOf(() => parseBlockPlaces(new Uint8Array(RECORD_BYTES_MAX)))).not.toHaveProperty('max')
  })
})
