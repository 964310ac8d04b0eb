/** `ate ls`: the chains that this machine knows. */
import { type KnownPlace, knownPlaces } from '@ate/core'
import { print, printable, timeText, toHex, toJson } from './output.ts'

export async function ls(options: { readonly json?: boolean }): Promise<void> {
  const places = await knownPlaces()
  await print(options.json ? toJson(places.map(jsonOf), 2) : lsText(places))
}

function lsText(places: readonly KnownPlace[]): string {
  if (places.length === 0) return 'This machine knows no chains yet.'
  return places.map(textOf).join('\n')
}

function textOf({ place, chain, head, state }: KnownPlace): string {
  const newest = head
    ? `newest record verified here: ${head.seq}, of ${timeText(head.at)}`
    : 'no record verified here yet'
  return `${printable(place)}\n  chain ${chain}\n  ${newest}\n  ${STATES[state] ?? `cannot be opened: ${state}`}`
}

const STATES: Readonly<Partial<Record<KnownPlace['state'], string>>> = {
  there: 'it is there',
  gone: 'it is gone: restore it, or remove its line from known-chains',
  WRONG_CHAIN: 'another chain stands there now',
  CHAIN_COPY: 'a copy stands there: read-only until `ate recover`',
  CHAIN_MOVED: 'it was moved: what stands there is read-only',
  CHAIN_INCOMPLETE: 'a copy into it did not finish: run it again, or `ate destroy` it',
  CHAIN_DESTROYED: 'it is half destroyed: run `ate destroy` on it again',
  DAMAGED: 'it is damaged: run `ate verify` on it',
  FORK: 'this machine has verified two histories of it: one of them was rewritten',
}

function jsonOf({ place, chain, head, state }: KnownPlace): object {
  return { place, chain, head: head && { seq: head.seq, hash: toHex(head.hash), at: head.at }, state }
}
