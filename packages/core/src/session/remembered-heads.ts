/**
 * The newest record of each chain that this machine has verified. It never goes down, so that a chain that comes back
 * older or different is seen.
 *
 * One file a head, its name being `<seq, 16 digits>-<hash>`; its first line is chain time, the rest is what was signed about
 * records up to it (chain/statements.ts), which files of earlier versions do not have. The memory is the highest name, a new one is put before
 * lower ones are removed, and so two processes need no lock and neither takes back what the other has seen.
 */
import { equalBytes, fromUtf8, utf8 } from '../base/bytes.ts'
import { AteError, assert } from '../base/errors.ts'
import { type ChainId, fromBase32, toBase32 } from '../base/ids.ts'
import type { StateStore } from './state-store.ts'

export interface RememberedHead {
  readonly seq: number
  /** 32 bytes. */
  readonly hash: Uint8Array
  /** Chain time of the record, Unix ms. */
  readonly at: number
  /** Signed statements about this record or those before it, for evidence; opaque here. */
  readonly statements?: string
}

/**
 * The highest head that was remembered.
 * @throws AteError FORK { chainId, seq }: two different records of one number were verified here.
 */
export async function rememberedHead(state: StateStore, chainId: ChainId): Promise<RememberedHead | undefined> {
  // Another process may supersede a name between the list and the read; then there is a higher one.
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const highest = highestOf(await entriesOf(state, chainId), chainId)
    if (!highest) return undefined
    const bytes = await state.get(highest.name)
    if (bytes) return { seq: highest.seq, hash: highest.hash, ...contentOf(bytes) }
  }
  throw new AteError('IO_ERROR', { what: 'remembered heads change too often', location: state.location })
}

/**
 * Remembers `head` unless a higher one is known.
 * @throws AteError FORK { chainId, seq } if another record of this number is known. Both stay on file.
 */
export async function rememberHead(state: StateStore, chainId: ChainId, head: RememberedHead): Promise<void> {
  assert(Number.isSafeInteger(head.seq) && head.seq >= 0 && head.hash.length === 32, 'a head is a seq and 32 bytes')
  const known = highestOf(await entriesOf(state, chainId), chainId)
  if (known && known.seq > head.seq) return
  if (known && known.seq === head.seq && equalBytes(known.hash, head.hash)) return
  await state.put(nameOf(chainId, head), utf8(`${head.at}\n${head.statements ?? ''}`))
  const entries = await entriesOf(state, chainId)
  const highest = highestOf(entries, chainId)
  for (const entry of entries) if (highest && entry.seq < highest.seq) await state.remove(entry.name)
}

/** After a loss that the user knows of: the next head is taken as it is. */
export async function forgetHead(state: StateStore, chainId: ChainId): Promise<void> {
  for (const entry of await entriesOf(state, chainId)) await state.remove(entry.name)
}

const TRIES_MAX = 100
const SEQ_DIGITS = 16

interface Entry {
  readonly name: string
  readonly seq: number
  readonly hash: Uint8Array
}

function nameOf(chainId: ChainId, head: RememberedHead): string {
  return `heads/${chainId}/${String(head.seq).padStart(SEQ_DIGITS, '0')}-${toBase32(head.hash)}`
}

async function entriesOf(state: StateStore, chainId: ChainId): Promise<readonly Entry[]> {
  const prefix = `heads/${chainId}/`
  const entries: Entry[] = []
  for (const name of await state.list(prefix)) {
    const match = /^(\d{16})-([0-9a-z]{52})$/.exec(name.slice(prefix.length))
    const hash = match ? fromBase32(match[2]!, 32) : undefined
    if (match && hash) entries.push({ name, seq: Number(match[1]), hash })
  }
  return entries
}

function highestOf(entries: readonly Entry[], chainId: ChainId): Entry | undefined {
  let highest: Entry | undefined
  for (const entry of entries) if (!highest || entry.seq > highest.seq) highest = entry
  for (const entry of entries) {
    if (entry.seq === highest?.seq && entry !== highest) throw new AteError('FORK', { chainId, seq: entry.seq })
  }
  return highest
}

function contentOf(bytes: Uint8Array): Pick<RememberedHead, 'at' | 'statements'> {
  const text = fromUtf8(bytes)
  const end = text.indexOf('\n')
  const at = Number((end < 0 ? text : text.slice(0, end)).trim())
  const statements = end < 0 ? '' : text.slice(end + 1)
  return { at: Number.isSafeInteger(at) ? at : 0, ...(statements === '' ? {} : { statements }) }
}
