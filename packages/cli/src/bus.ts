/** `ate bus`: topics of a chain. What only looks runs beside a writer; publish, seek and redrive need the lock. */
import { type Bus, bus, type Cursor, type From } from '@ate/bus'
import { AteError, type Chain } from '@ate/core'
import type { Command } from 'commander'
import { dateOf } from './dates.ts'
import { type LookOptions, look } from './look.ts'
import { openPlace } from './open-place.ts'
import { counted, print, printable, timeText, toJson } from './output.ts'
import { wholeNumber } from './run-program.ts'

type AnyBus = Bus<Record<string, unknown>, Record<string, unknown>>

interface BusCommandOptions extends LookOptions {
  readonly bus?: string
  readonly key?: string
  readonly eventId?: string
  readonly header?: readonly string[]
  readonly from?: string
  readonly limit?: number
  readonly follow?: boolean
}

const PLACE = 'a chain: a folder, as a path or as file:PATH, or ws://HOST:PORT/NAME'
const SUBSCRIPTION = ['<subscription>', 'its name, as `ate bus subs` lists it'] as const
const FROM = 'start, end, last, a cursor (SEQ or SEQ.INDEX), a time (ISO 8601), or how long ago (15m, 2h, 7d)'
/** How often `tail --follow` looks for what another process has written, in ms. */
const FOLLOW_MS = 500

export function addBus(ate: Command, common: (command: Command) => Command): void {
  const group = ate
    .command('bus')
    .description('Look into the topics of a chain, publish, and move subscriptions.')
    .helpCommand(false)
  const add = (name: string, description: string): Command =>
    common(
      group
        .command(name)
        .description(description)
        .argument('<place>', PLACE)
        .option('--bus <name>', 'the bus, where a chain has several')
        .option('--id <id>', 'the id of the chain that is meant')
        .option('--json', 'one JSON object a line'),
    )
  const all = (options: object): BusCommandOptions => ({ ...ate.opts(), ...options })
  add('publish', 'Publish an event.')
    .argument('<topic>', 'such as order.placed')
    .argument('<data>', 'JSON')
    .option('--key <key>', 'what the event is about')
    .option('--event-id <id>', 'published once, however often it is tried')
    .option('--header <name=value...>', 'what goes with it')
    .action((place: string, topic: string, data: string, options) => publish(place, topic, data, all(options)))
  add('tail', 'Print events, in the order of the log.')
    .argument('[pattern]', '* is one token, > one or more at the end', '>')
    .option('--from <point>', FROM, 'start')
    .option('--limit <n>', 'print at most this many events', wholeNumber)
    .option('--follow', 'go on with what comes')
    .action((place: string, pattern: string, options) => tail(place, pattern, all(options)))
  add('topics', 'List the topics that have been published to.').action((place: string, options) =>
    topics(place, all(options)),
  )
  add('subs', 'List the subscriptions.').action((place: string, options) => subscriptions(place, all(options)))
  add('lag', 'Say how far a subscription is behind.')
    .argument(...SUBSCRIPTION)
    .action((place: string, name: string, options) => lag(place, name, all(options)))
  add('dead', 'Print the events that a subscription has set aside.')
    .argument(...SUBSCRIPTION)
    .action((place: string, name: string, options) => dead(place, name, all(options)))
  add('redrive', 'Have what was set aside delivered once more, and a halted subscription go on.')
    .argument(...SUBSCRIPTION)
    .option('--limit <n>', 'at most this many events', wholeNumber)
    .action((place: string, name: string, options) => redrive(place, name, all(options)))
  add('seek', 'Move the cursor of a subscription.')
    .argument(...SUBSCRIPTION)
    .argument('<point>', FROM)
    .action((place: string, name: string, to: string, options) => seek(place, name, to, all(options)))
}

function busOf(chain: Chain, { bus: name }: BusCommandOptions): AnyBus {
  return bus(chain, name === undefined ? {} : { name })
}

async function write(
  place: string,
  options: BusCommandOptions,
  use: (events: AnyBus, chain: Chain) => Promise<void>,
): Promise<void> {
  const chain = await openPlace(place, options, 'write')
  try {
    const events = busOf(chain, options)
    await use(events, chain)
    await events.close()
  } finally {
    await chain.close()
  }
}

function publish(place: string, topic: string, text: string, options: BusCommandOptions): Promise<void> {
  const data = jsonOf(text)
  const headers = headersOf(options.header)
  return write(place, options, async (events) => {
    const { id, cursor } = await events.publish(topic, data, {
      ...(options.key === undefined ? {} : { key: options.key }),
      ...(options.eventId === undefined ? {} : { id: options.eventId }),
      ...(headers ? { headers } : {}),
    })
    const at = cursor ? ` in record ${cursor.seq}` : ', which was there already'
    await print(options.json ? toJson({ id, ...(cursor ? { seq: cursor.seq } : {}) }) : `event ${printable(id)}${at}`)
  })
}

function tail(place: string, pattern: string, options: BusCommandOptions): Promise<void> {
  return look(place, options, async (chain) => {
    const stop = new AbortController()
    const timer = options.follow
      ? setInterval(() => chain.refresh().catch((error) => stop.abort(error)), FOLLOW_MS)
      : undefined
    let left = options.limit ?? Number.POSITIVE_INFINITY
    try {
      const from = pointOf(options.from ?? 'start', chain.id)
      const events = busOf(chain, options)
      let heard = 0
      const reading = events.read(pattern, { from, live: options.follow ?? false, signal: stop.signal })
      for await (const event of reading) {
        if (left-- <= 0) break
        heard++
        await print(options.json ? toJson(event) : eventText(event))
        if (left <= 0) break
      }
      // Who may read a topic need not be able to read the bus. Who could read nothing hears why.
      if (heard === 0) for await (const _ of events.topics()) break
    } finally {
      clearInterval(timer)
    }
  })
}

function eventText(event: { topic: string; time: Date; cursor: Cursor; key?: string; data: unknown }): string {
  const { topic, time, cursor, key, data } = event
  const place = `${cursor.seq}.${cursor.index}`
  const about = key === undefined ? '' : ` [${printable(key)}]`
  return `${place}  ${timeText(time.getTime())}  ${printable(topic)}${about}  ${printable(toJson(data) ?? 'undefined')}`
}

function topics(place: string, options: BusCommandOptions): Promise<void> {
  return look(place, options, async (chain) => {
    for await (const found of busOf(chain, options).topics())
      await print(options.json ? toJson(found) : `${printable(found.topic)}  ${counted(found.events, 'event')}`)
  })
}

function subscriptions(place: string, options: BusCommandOptions): Promise<void> {
  return look(place, options, async (chain) => {
    const events = busOf(chain, options)
    for await (const found of events.subscriptions()) {
      const { events: behind, ms } = await events.lag(found.name)
      if (options.json) await print(toJson({ ...found, behind, ms }))
      else {
        const halted = found.halted === undefined ? '' : `  halted: ${printable(found.halted)}`
        const aside = found.dead > 0 ? `  ${found.dead} set aside` : ''
        await print(
          `${printable(found.name)}  ${printable(found.pattern)}  order ${found.order}  ${counted(behind, 'event')} behind${aside}${halted}`,
        )
      }
    }
  })
}

function lag(place: string, name: string, options: BusCommandOptions): Promise<void> {
  return look(place, options, async (chain) => {
    const { events, ms } = await busOf(chain, options).lag(name)
    await print(options.json ? toJson({ events, ms }) : `${counted(events, 'event')} behind, the oldest ${ms} ms old`)
  })
}

function dead(place: string, name: string, options: BusCommandOptions): Promise<void> {
  return look(place, options, async (chain) => {
    for await (const event of busOf(chain, options).dead(name)) {
      const why = `  after ${counted(event.attempts, 'try').replace('trys', 'tries')}: ${printable(event.error)}`
      await print(options.json ? toJson(event) : `${eventText(event)}${why}`)
    }
  })
}

function redrive(place: string, name: string, options: BusCommandOptions): Promise<void> {
  const { limit } = options
  return write(place, options, async (events) => {
    const count = await events.redrive(name, limit === undefined ? {} : { limit })
    await print(options.json ? toJson({ events: count }) : `${counted(count, 'event')} to be delivered again`)
  })
}

function seek(place: string, name: string, to: string, options: BusCommandOptions): Promise<void> {
  return write(place, options, async (events, chain) => {
    await events.seek(name, pointOf(to, chain.id))
    const { events: behind } = await events.lag(name)
    await print(options.json ? toJson({ events: behind }) : `${counted(behind, 'event')} to be delivered`)
  })
}

/** @throws AteError BAD_CURSOR */
function pointOf(text: string, chain: string): From {
  if (text === 'start' || text === 'end' || text === 'last') return text
  const place = /^(\d{1,15})(?:\.(\d{1,5}))?$/.exec(text)
  if (place) return { chain, seq: Number(place[1]), ...(place[2] === undefined ? {} : { index: Number(place[2]) }) }
  if (/^\d{1,15}(ms|s|m|h|d|y)$/.test(text)) return { ago: text as `${number}s` }
  const time = dateOf(text)
  if (!time) {
    const hint =
      'a point is start, end, last, SEQ, SEQ.INDEX, a duration such as 1h, or a date (2026-01-31, 2026-01-31T12:00Z)'
    throw new AteError('BAD_CURSOR', { given: text.slice(0, 40) }, { hint })
  }
  return time
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new AteError('BAD_ARGUMENT', { what: 'the data of an event is JSON' }, { cause })
  }
}

function headersOf(given: readonly string[] | undefined): Record<string, string> | undefined {
  if (!given) return undefined
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=')
      if (at < 1) throw new AteError('BAD_ARGUMENT', { what: 'a header is NAME=VALUE' })
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
}
