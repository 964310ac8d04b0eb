/** `ate cache ...`: looks into the caches of a chain, and does what an operator does with them. */
import { type Cache, cache, cacheNames } from '@ate/cache'
import { AteError, type Chain } from '@ate/core'
import type { Command } from 'commander'
import { verbsOf } from './command-options.ts'
import { type LookOptions, look } from './look.ts'
import { openPlace } from './open-place.ts'
import { counted, print, printable, timeText, toJson } from './output.ts'

interface CacheCommandOptions extends LookOptions {
  readonly prefix?: string
  readonly ttl?: string
  readonly tag?: readonly string[]
}

const NAME = ['<name>', 'the name of the cache'] as const
const KEY = ['<key>', 'the key of the entry'] as const

/** Adds `cache` with its verbs. `common` gives what stands before the command's name. */
export function addCache(ate: Command, common: () => object): void {
  const group = ate
    .command('cache')
    .description('Look into the caches of a chain; set, remove, invalidate.')
    .helpCommand(false)
  const verb = verbsOf(group)
  const all = (options: object): CacheCommandOptions => ({ ...common(), ...options })
  verb('ls', 'List the caches, or with a name the keys of one.')
    .argument('[name]', 'the name of the cache')
    .option('--prefix <text>', 'keys that begin with it')
    .action((place, name, options) => list(place, name, all(options)))
  verb('stats', 'Count the entries of a cache and their bytes.')
    .argument(...NAME)
    .action((place, name, options) => stats(place, name, all(options)))
  verb('get', 'Show an entry: its value, and until when it is fresh.')
    .argument(...NAME)
    .argument(...KEY)
    .action((place, name, key, options) => get(place, name, key, all(options)))
  verb('set', 'Set an entry.')
    .argument(...NAME)
    .argument(...KEY)
    .argument('<json>', 'its value')
    .option('--ttl <duration>', 'as 90s, 15m, 24h')
    .option('--tag <tag...>', 'its tags')
    .action((place, name, key, json, options) => set(place, name, key, json, all(options)))
  verb('rm', 'Remove entries.')
    .argument(...NAME)
    .argument('<key...>', 'their keys')
    .action((place, name, keys, options) => remove(place, name, keys, all(options)))
  verb('invalidate', 'Void entries by tag or prefix; all of them with --prefix "".')
    .argument(...NAME)
    .option('--tag <tag...>', 'what has one of these tags')
    .option('--prefix <text>', 'keys that begin with it')
    .action((place, name, options) => invalidate(place, name, all(options)))
}

function list(place: string, name: string | undefined, options: CacheCommandOptions): Promise<void> {
  if (name !== undefined) return looking(place, name, options, (entries) => listKeys(entries, options))
  return look(place, options, async (chain) => {
    const names = await cacheNames(chain)
    for (const found of names)
      await within(chain, found, (entries) => printStats(entries, options, `${printable(found)}  `))
    if (names.length === 0 && !options.json) await print('There are no caches here.')
  })
}

async function listKeys(entries: Cache<unknown>, { prefix = '', json }: CacheCommandOptions): Promise<void> {
  for (const key of entries.keys(prefix)) await print(json ? toJson({ key, ...factsOf(entries, key) }) : printable(key))
}

function stats(place: string, name: string, options: CacheCommandOptions): Promise<void> {
  return looking(place, name, options, (entries) => printStats(entries, options, ''))
}

async function printStats(entries: Cache<unknown>, { json }: CacheCommandOptions, before: string): Promise<void> {
  const { entries: count, bytes } = entries.stats
  const text = `${before}${count === 1 ? '1 entry' : `${count} entries`}, ${counted(bytes, 'byte')}`
  await print(json ? toJson({ cache: entries.name, entries: count, bytes }) : text)
}

function get(place: string, name: string, key: string, options: CacheCommandOptions): Promise<void> {
  return looking(place, name, options, async (entries) => {
    const value = await entries.fetch(key)
    if (value === undefined)
      throw new AteError(
        'NOT_FOUND',
        { key, cache: name },
        { hint: 'there is no entry of this key, or its time is over' },
      )
    const { expires, tags, version } = factsOf(entries, key)
    if (options.json) return print(toJson({ key, value, expires, tags, version }))
    const rows: readonly (readonly [string, string | undefined])[] = [
      ['value', toJson(value)],
      ['until', expires === undefined ? undefined : timeText(expires)],
      ['tags', tags.length === 0 ? undefined : tags.join(' ')],
      ['version', String(version)],
    ]
    for (const [label, text] of rows) if (text !== undefined) await print(`${label.padEnd(10)}${printable(text)}`)
  })
}

function factsOf(
  entries: Cache<unknown>,
  key: string,
): {
  readonly expires: number | undefined
  readonly tags: readonly string[]
  readonly version: number
} {
  const { expires, tags, version } = entries.entry(key)!
  return { expires, tags, version }
}

function set(place: string, name: string, key: string, json: string, options: CacheCommandOptions): Promise<void> {
  const value = parsed(json)
  const { ttl, tag } = options
  return writing(place, name, options, async (entries) => {
    // Checked by the cache, as every duration.
    const times = ttl === undefined ? {} : { ttl: ttl as `${number}s` }
    const { version } = await entries.set(key, value, { ...times, ...(tag === undefined ? {} : { tags: tag }) })
    await print(options.json ? toJson({ key, version }) : `version ${version}`)
  })
}

function remove(place: string, name: string, keys: readonly string[], options: CacheCommandOptions): Promise<void> {
  return writing(place, name, options, async (entries) => {
    const removed = (await entries.deleteMany(keys)).filter((existed) => existed).length
    await print(options.json ? toJson({ removed }) : `${removed} removed`)
  })
}

function invalidate(place: string, name: string, options: CacheCommandOptions): Promise<void> {
  const { tag, prefix } = options
  return writing(place, name, options, async (entries) => {
    const before = entries.stats.entries
    await entries.invalidate({
      ...(tag === undefined ? {} : { tags: tag }),
      ...(prefix === undefined ? {} : { prefix }),
    })
    const voided = before - entries.stats.entries
    await print(options.json ? toJson({ voided }) : `${voided} void`)
  })
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new AteError('BAD_ARGUMENT', { what: 'the value of an entry is JSON' }, { cause })
  }
}

function looking(
  place: string,
  name: string,
  options: CacheCommandOptions,
  run: (entries: Cache<unknown>) => Promise<void>,
): Promise<void> {
  return look(place, options, (chain) => within(chain, name, run))
}

async function writing(
  place: string,
  name: string,
  options: CacheCommandOptions,
  run: (entries: Cache<unknown>) => Promise<void>,
): Promise<void> {
  const chain = await openPlace(place, options, 'write')
  try {
    await within(chain, name, run)
  } finally {
    await chain.close()
  }
}

/** A name that was mistyped must not become a cache. */
async function within(chain: Chain, name: string, run: (entries: Cache<unknown>) => Promise<void>): Promise<void> {
  if (!(await cacheNames(chain)).includes(name))
    throw new AteError(
      'NOT_FOUND',
      { cache: name, chain: chain.id },
      { hint: 'the chain has no cache of this name: `ate cache ls` lists them' },
    )
  const entries = cache<unknown>(chain, name)
  try {
    await entries.ready
    await run(entries)
  } finally {
    await entries.close()
  }
}
