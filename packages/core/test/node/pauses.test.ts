/** Long work beside a running service: the event loop turns in its midst. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openEngine, parsePlace } from '../../src/data/place.ts'
import { NO_HASH } from '../../src/event/record.ts'
import { platform } from '../../src/node/platform.ts'

const RECORD_BYTES = 512 * 1024
const RECORDS = 24

it('a scrub of more than a window lets others run', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ate-pause-'))
  try {
    const place = parsePlace(`file:${folder}/chain`, {}, platform)
    const engine = await openEngine(place, { create: true, label: undefined, known: undefined })
    engine.setLabel(new Uint8Array(32).fill(1))
    for (let seq = 0; seq < RECORDS; seq++) {
      const after = engine.head()
      const record = { seq, hash: NO_HASH.slice().fill(seq + 1), bytes: new Uint8Array(RECORD_BYTES).fill(seq) }
      await engine.append([record], { after, durability: 'os', load: 'group' })
    }
    let hasTurned = false
    setImmediate(() => {
      hasTurned = true
    })
    expect(await engine.scrub()).toEqual([])
    expect(hasTurned).toBe(true)
    await engine.close()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
