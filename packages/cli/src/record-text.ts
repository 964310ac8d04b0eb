/** A record as a tree of lines for people. Pure. */
import type { ChainRecord, ClearValue, RecordEvent, RecordTransaction } from '@ate/core'
import { printable, short, timeText } from './output.ts'

/** What this identity sees of an event's value. */
export type OpenedValue =
  | { readonly state: 'open'; readonly value: unknown; readonly name: string | undefined; readonly text: string }
  | { readonly state: 'sealed' }
  | { readonly state: 'unreadable'; readonly code: string }

/** The id of the root of every chain's tree. */
const ROOT = '0'.repeat(26)

export function recordText(record: ChainRecord, values: ReadonlyMap<RecordEvent, OpenedValue>): string {
  const lines = [headLine(record)]
  const { kind, transactions } = record
  const children =
    kind === 'commit'
      ? transactions.map((transaction) => transactionLines(transaction, values))
      : clearLines(record.clear)
  return [...lines, ...tree(children)].join('\n')
}

function headLine({ seq, kind, admittedAt, author, attested, bytes }: ChainRecord): string {
  const by = author === undefined ? 'by nobody known' : `by ${short(author)}`
  const signed = kind === 'commit' ? (attested ? ', attested' : ', not attested') : ''
  return `#${seq} ${kind}  ${timeText(admittedAt)}  ${by}${signed}  (${bytes} bytes)`
}

function transactionLines(
  { txId, refusal, guards, events }: RecordTransaction,
  values: ReadonlyMap<RecordEvent, OpenedValue>,
): string[] {
  const outcome = refusal ? `VOID: ${refusal.code}${factsText(refusal.facts)}` : 'committed'
  const guarded = Object.entries(guards).map(([name, count]) => `${count} ${name}`)
  const head = `transaction ${txId} ${outcome}${guarded.length > 0 ? `, guarded by ${guarded.join(', ')}` : ''}`
  return [head, ...tree(events.map((event) => eventLines(event, values.get(event))))]
}

function eventLines(event: RecordEvent, value: OpenedValue | undefined): string[] {
  const { op, type, entity, parent, collection, version, named } = event
  const what = [
    op,
    type === '' ? undefined : printable(type),
    entity === ROOT ? 'the root' : (entity ?? 'an entity of an unknown author'),
  ]
  const place =
    parent === undefined ? '' : ` in ${parent === ROOT ? 'the root' : parent}/${printable(collection ?? '')}`
  const name =
    value?.state === 'open' && value.name !== undefined ? ` named ${JSON.stringify(value.name)}` : named ? ' named' : ''
  const head = `${what.filter((word) => word !== undefined).join(' ')}${name}${place}${version > 0 ? `, version ${version}` : ''}`
  return [printable(head), ...tree([...clearLines(event.clear), ...valueLines(event, value)])]
}

function valueLines({ sealedBytes }: RecordEvent, value: OpenedValue | undefined): string[][] {
  if (!value) return []
  if (value.state === 'sealed') return [[`value: sealed (${sealedBytes} bytes)`]]
  if (value.state === 'unreadable') return [[`value: unreadable, ${value.code}`]]
  const [first = '', ...more] = value.text.split('\n').map(printable)
  return [[`value: ${first}`, ...more]]
}

function clearLines(clear: Readonly<Record<string, ClearValue>>): string[][] {
  return Object.entries(clear).map(([name, value]) => [printable(`${name}: ${clearText(value, name)}`)])
}

const FINGERPRINT = /^[0-9a-hjkmnp-tv-z]{52}$/
const TIMES: ReadonlySet<string> = new Set(['expires', 'retain'])

function clearText(value: ClearValue, name = ''): string {
  if (typeof value === 'number' && TIMES.has(name)) return timeText(value)
  if (typeof value === 'string') return FINGERPRINT.test(value) ? short(value) : value
  if (Array.isArray(value)) return value.map((item) => clearText(item)).join(', ') || 'nobody'
  if (typeof value === 'object') {
    return Object.entries(value)
      .map(([key, item]) => `${key} ${clearText(item, key)}`)
      .join(', ')
  }
  return String(value)
}

function factsText(facts: Readonly<Record<string, unknown>>): string {
  const shown = Object.entries(facts).map(([name, value]) => `${name}: ${String(value)}`)
  return shown.length > 0 ? printable(` (${shown.join(', ')})`) : ''
}

/** Each child is its own line and the lines below it. */
function tree(children: readonly (readonly string[])[]): string[] {
  return children.flatMap(([head = '', ...below], index) => {
    const last = index === children.length - 1
    return [`${last ? '└─' : '├─'} ${head}`, ...below.map((line) => `${last ? '  ' : '│ '} ${line}`)]
  })
}
