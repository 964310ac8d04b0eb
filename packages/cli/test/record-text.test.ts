/** The text of records, from made-up ones: what a process test cannot bring about. */
import type { ChainRecord, RecordEvent } from '@ate/core'
import { expect, it } from 'vitest'
import { printable, toJson } from '../src/output.ts'
import { placeOf } from '../src/place.ts'
import { recordText } from '../src/record-text.ts'
import { problemText } from '../src/verify.ts'

const event: RecordEvent = {
  op: 'create',
  entity: undefined,
  type: 'no\nte\u001b[2J',
  version: 0,
  parent: '0'.repeat(26) as NonNullable<RecordEvent['parent']>,
  collection: 'notes',
  named: false,
  sealedBytes: 9,
  clear: {},
  open: () => Promise.reject(new Error('not here')),
}
const record: ChainRecord = {
  seq: 7,
  kind: 'commit',
  admittedAt: 0,
  hash: new Uint8Array(32),
  bytes: 500,
  author: undefined,
  attested: false,
  transactions: [
    { txId: 'tx', refusal: { code: 'CERT_UNKNOWN', facts: { seq: 7 } }, guards: { version: 2 }, events: [event] },
  ],
  clear: {},
}

it('says that a transaction is void, why, and that its author is not known', () => {
  expect(recordText(record, new Map([[event, { state: 'sealed' }]]))).toBe(
    [
      '#7 commit  1970-01-01T00:00:00.000Z  by nobody known, not attested  (500 bytes)',
      '└─ transaction tx VOID: CERT_UNKNOWN (seq: 7), guarded by 2 version',
      '   └─ create no\\x0ate\\x1b[2J an entity of an unknown author in the root/notes',
      '      └─ value: sealed (9 bytes)',
    ].join('\n'),
  )
})

it('says that a value is there and cannot be opened', () => {
  expect(recordText(record, new Map([[event, { state: 'unreadable', code: 'BAD_BODY' }]]))).toContain(
    'value: unreadable, BAD_BODY',
  )
})

it('escapes what could steer a terminal or break a line', () => {
  expect(printable('a\u001b[31m\u009b\u2028\u202eb')).toBe('a\\x1b[31m\\x9b\\u{2028}\\u{202e}b')
})

it('JSON has bigints as decimal text, and bytes as hexadecimal text', () => {
  expect(toJson({ n: 12n, b: Uint8Array.of(0, 255) })).toBe('{"n":"12","b":"00ff"}')
})

it('a place may be a plain path', () => {
  expect(['./a', '/a', 'a', 'C:\\a', 'file:./a'].map(placeOf)).toEqual([
    'file:./a',
    'file:/a',
    'file:a',
    'file:C:\\a',
    'file:./a',
  ])
})

it('a problem reads like an error', () => {
  expect(problemText({ code: 'DAMAGED', seq: 3, segment: 'seg-000000.ate', offset: 64 })).toMatch(
    /^DAMAGED: .* \(seq: 3, segment: seg-000000\.ate, offset: 64\)$/,
  )
})
