/** A sweep: the ids of expired entities that everybody may drop. payload = count | ids of 16 bytes. */

import { AteError } from '../base/errors.ts'
import { COMMIT_EVENTS_MAX } from '../base/limits.ts'
import { ByteReader, ByteWriter } from '../codec/writer.ts'
import { type EntityWords, readWords, writeWords } from './entity-words.ts'
import { RECORD_HEAD_BYTES } from './format.ts'

export const SWEEP_ENTITIES_MAX = 4096

export function encodeSweep(entities: readonly EntityWords[]): Uint8Array {
  const out = new ByteWriter(16 * entities.length + 8)
  out.varint(entities.length)
  for (const entity of entities) writeWords(out, entity)
  return out.copy()
}

/** @throws AteError BAD_RECORD */
export function parseSweep(record: Uint8Array): EntityWords[] {
  const input = new ByteReader(record, RECORD_HEAD_BYTES)
  const count = input.varint()
  if (count > COMMIT_EVENTS_MAX || count * 16 !== input.left) throw new AteError('BAD_RECORD', { what: 'sweep', count })
  const entities: EntityWords[] = []
  for (let i = 0; i < count; i++) entities.push(readWords(input))
  return entities
}
