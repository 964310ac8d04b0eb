/** `ate dump`: every record of a chain. Opens it for reading only, so it runs beside a writer. */
import { inspect } from 'node:util'
import { type ChainRecord, defineType, isAteError, type RecordEvent } from '@ate/core'
import { type LookOptions, look } from './look.ts'
import { print, toHex, toJson } from './output.ts'
import { type OpenedValue, recordText } from './record-text.ts'

export interface DumpOptions extends LookOptions {
  readonly from?: number
  readonly limit?: number
}

/** A value of any version, as it was stored: this command knows no schema. */
const AsStored = defineType<unknown>('as stored', { version: Number.MAX_SAFE_INTEGER, migrate: (value) => value })

export function dump(place: string, options: DumpOptions): Promise<void> {
  const { from = 0, limit = Number.POSITIVE_INFINITY } = options
  return look(place, options, async (chain) => {
    if (!options.json) await print(`chain ${chain.id}\nread as ${chain.identity}`)
    let left = limit
    if (left === 0) return
    for await (const record of chain.records({ from })) {
      const values = await openValues(record)
      await print(options.json ? toJson(jsonOf(record, values)) : recordText(record, values))
      if (--left === 0) return
    }
  })
}

async function openValues(record: ChainRecord): Promise<ReadonlyMap<RecordEvent, OpenedValue>> {
  const values = new Map<RecordEvent, OpenedValue>()
  for (const { events } of record.transactions) {
    for (const event of events) if (event.sealedBytes !== undefined) values.set(event, await openValue(event))
  }
  return values
}

/** No key is no error here: `sealed` is what this identity sees. */
async function openValue(event: RecordEvent): Promise<OpenedValue> {
  try {
    const { value, name } = await event.open(AsStored)
    return {
      state: 'open',
      value,
      name,
      text: inspect(value, { depth: 6, breakLength: 100, maxStringLength: 500, maxArrayLength: 50 }),
    }
  } catch (error) {
    if (!isAteError(error)) throw error
    return error.code === 'NO_READ_KEY' ? { state: 'sealed' } : { state: 'unreadable', code: error.code }
  }
}

function jsonOf(record: ChainRecord, values: ReadonlyMap<RecordEvent, OpenedValue>): object {
  const { seq, kind, admittedAt, hash, bytes, author, attested, clear } = record
  const common = { seq, kind, admittedAt, hash: toHex(hash), bytes, author, clear }
  if (kind !== 'commit') return common
  const transactions = record.transactions.map(({ txId, refusal, guards, events }) => ({
    txId,
    status: refusal ? 'void' : 'committed',
    refusal,
    guards,
    events: events.map((event) => eventJson(event, values.get(event))),
  }))
  return { ...common, attested, transactions }
}

/** `value` is there if this identity could open it; `sealed` or an error code says why not. */
function eventJson({ open: _, ...event }: RecordEvent, opened: OpenedValue | undefined): object {
  if (!opened) return event
  if (opened.state === 'open') return { ...event, name: opened.name, value: opened.value }
  return { ...event, sealed: true, ...(opened.state === 'unreadable' ? { error: opened.code } : {}) }
}
