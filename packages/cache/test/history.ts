/**
 * What clients of a cache saw, held against the log:
 *
 * - a value that is read stands in the log, or nothing does;
 * - what one client reads of a key never goes back (monotonic reads);
 * - it is never older than what he himself has written (read your writes), or has waited for.
 */
import type { Chain, EntityId } from '@ate/core'
import { EntryRecord, IN, keyOfName } from '../src/cache-records.ts'

export type Observed =
  /** A read: the value, or undefined. */
  | { readonly kind: 'read'; readonly client: number; readonly key: string; readonly value: string | undefined }
  /** A write of the client has resolved: from here on he reads it, or what is newer. */
  | {
      readonly kind: 'wrote'
      readonly client: number
      readonly key: string
      readonly value: string | undefined
      readonly seq: number
    }
  /** The client has waited for this record. */
  | { readonly kind: 'waited'; readonly client: number; readonly seq: number }

interface Change {
  readonly seq: number
  /** Undefined: deleted. */
  readonly value: string | undefined
}

/** The changes of each key in the order of the log; before the first there is nothing. */
export async function changesOf(chain: Chain, node: EntityId): Promise<Map<string, Change[]>> {
  const names = new Map<string, string>()
  const changes = new Map<string, Change[]>()
  for await (const { id, name } of chain.children(EntryRecord, node, IN.entries)) names.set(id, keyOfName(name))
  for await (const event of chain.events({ type: EntryRecord, until: 'end' })) {
    const key = names.get(event.entity)
    if (key === undefined) throw new Error('a key has to be there at the end, so that its history can be told')
    const value = event.op === 'delete' ? undefined : String((await event.value(EntryRecord)).v)
    const known = changes.get(key) ?? [{ seq: -1, value: undefined }]
    changes.set(key, [...known, { seq: event.seq, value }])
  }
  return changes
}

/** What is wrong, in words; nothing if all is well. */
export function problemsOf(history: readonly Observed[], changes: ReadonlyMap<string, readonly Change[]>): string[] {
  const problems: string[] = []
  /** By client and key: the change that has been seen at least. */
  const seen = new Map<string, number>()
  const NONE: readonly Change[] = [{ seq: -1, value: undefined }]
  const raise = (client: number, key: string, at: number): void => {
    const name = `${client}/${key}`
    seen.set(name, Math.max(seen.get(name) ?? 0, at))
  }
  for (const [step, one] of history.entries()) {
    if (one.kind === 'waited') {
      for (const [key, all] of changes)
        raise(
          one.client,
          key,
          all.findLastIndex(({ seq }) => seq <= one.seq),
        )
      continue
    }
    const { client, key, value } = one
    const all = changes.get(key) ?? NONE
    if (one.kind === 'wrote') {
      raise(
        client,
        key,
        all.findIndex((change) => change.value === value && change.seq === one.seq),
      )
      continue
    }
    const least = seen.get(`${client}/${key}`) ?? 0
    const at = all.findIndex((change, i) => i >= least && change.value === value)
    if (at >= 0) raise(client, key, at)
    else if (!all.some((change) => change.value === value))
      problems.push(`${step}: ${client} read ${value}, which nobody wrote`)
    else problems.push(`${step}: ${client} read ${value} of ${key}, and had seen ${all[least]?.value}`)
  }
  return problems
}
