/** Chains of one page, by the name of their database. Errors come back as their codes. */
import { isAteError } from '../../../src/base/errors.ts'
import * as ate from '../../../src/index.ts'

const Note: ate.EntityType<{ readonly text: string }> = ate.defineType<{ readonly text: string }>('note')
const open_ = new Map<string, ate.Chain>()

export interface Opened {
  readonly id: string
  readonly identity: string
  readonly seq: number
  readonly writers: number
  readonly snapshot: number | undefined
}

export async function open(name: string, options: ate.OpenOptions = {}): Promise<Opened | string> {
  return orCode(async () => {
    const chain = await ate.openChain(`indexeddb:${name}`, options)
    open_.set(name, chain)
    return {
      id: chain.id,
      identity: chain.identity,
      seq: chain.head.seq,
      writers: chain.writers().length,
      snapshot: chain.stats().snapshot?.openedFrom,
    }
  })
}

/** One transaction each; how many were acknowledged, then the code of the error that ended it. */
export async function add(
  name: string,
  texts: readonly string[],
): Promise<{ readonly done: number; readonly code: string }> {
  let done = 0
  const code = await orCode(async () => {
    for (const text of texts) {
      await chainOf(name).transact((tx) => tx.create(Note, { text }))
      done++
    }
    return ''
  })
  return { done, code }
}

/** All in one transaction; undefined, or the code of its error. */
export function addTogether(name: string, texts: readonly string[]): Promise<string | undefined> {
  return orCode(async () => {
    await chainOf(name).transact((tx) => {
      for (const text of texts) tx.create(Note, { text })
    })
    return undefined
  })
}

/** One value almost as large as values may be. */
export async function addLarge(name: string): Promise<void> {
  await chainOf(name).transact((tx) => tx.create(Note, { text: 'x'.repeat(850_000) }))
}

/** Writes until the page ends, and tells `acknowledged(count)` of each. */
export async function addForever(name: string): Promise<void> {
  for (let i = 0; ; i++) {
    await chainOf(name).transact((tx) => tx.create(Note, { text: `note ${i}` }))
    void Reflect.get(globalThis, 'acknowledged')(i + 1)
  }
}

export function texts(name: string): Promise<readonly string[] | string> {
  return orCode(async () => {
    const found: string[] = []
    for await (const note of chainOf(name).children(Note)) found.push(note.value.text)
    return found
  })
}

export async function refresh(name: string): Promise<number> {
  return chainOf(name).refresh()
}

/** Replaces every note by a new value, `rounds` times. */
export async function replace(name: string, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await chainOf(name).transact(async (tx) => {
      for (const note of await allOf(tx)) await tx.update(note, ({ text }) => ({ text: `${text}.` }))
    })
  }
}

/** Reads every note again and again while the log is compacted: the bytes that were freed, and the number of reads. */
export async function readWhileCompacting(name: string): Promise<readonly [number, number]> {
  const chain = chainOf(name)
  let freed: number | undefined
  let reads = 0
  const compacting = chain.compact().then(({ bytesFreed }) => {
    freed = bytesFreed
  })
  while (freed === undefined) {
    for await (const note of chain.children(Note)) if (note.value.text.length > 0) reads++
    await new Promise((resume) => setTimeout(resume, 0))
  }
  await compacting
  return [freed, reads]
}

export async function verify(name: string): Promise<{ readonly ok: boolean; readonly records: number }> {
  const { ok, records } = await chainOf(name).verify()
  return { ok, records }
}

export async function close(name: string): Promise<void> {
  await open_.get(name)?.close()
  open_.delete(name)
}

export function destroy(name: string): Promise<string | undefined> {
  return orCode(async () => (await ate.destroy(`indexeddb:${name}`)).chain)
}

export async function known(): Promise<readonly string[]> {
  return (await ate.knownPlaces()).map(({ place, state }) => `${place} ${state}`)
}

/** The chain goes on in another database. */
export function push(from: string, to: string): Promise<number | string> {
  return orCode(async () => (await ate.push(`indexeddb:${from}`, `indexeddb:${to}`)).records)
}

export async function codeOfPlace(place: string): Promise<string> {
  const opened = await orCode(() => ate.openChain(place))
  return typeof opened === 'string' ? opened : 'opened'
}

async function allOf(tx: ate.Transaction): Promise<ate.Entity<{ readonly text: string }>[]> {
  const notes: ate.Entity<{ readonly text: string }>[] = []
  for await (const note of tx.children(Note, undefined)) notes.push(note)
  return notes
}

function chainOf(name: string): ate.Chain {
  const chain = open_.get(name)
  if (!chain) throw new Error(`${name} is not open in this page`)
  return chain
}

async function orCode<T>(run: () => Promise<T>): Promise<T | string> {
  try {
    return await run()
  } catch (error) {
    if (isAteError(error)) return error.code
    throw error
  }
}
