/** A place as people type it. */
import { AteError } from '@ate/core'

/** `./garage` is `file:./garage`. A name with a scheme stays; one letter and a colon is a disk of Windows. */
export function placeOf(text: string): string {
  return /^[a-z][a-z0-9+.-]+:/i.test(text) ? text : `file:${text}`
}

/** The place of a command that works on what is stored. @throws AteError BAD_ARGUMENT for the address of a server */
export function storedPlaceOf(text: string): string {
  const place = placeOf(text)
  if (!/^(wss?|ws\+unix):/i.test(place)) return place
  const hint =
    'this works on what is stored, so it takes a folder: at a server, DATA/chains/NAME in the folder that it serves'
  throw new AteError('BAD_ARGUMENT', { place: text }, { hint })
}

/** What a command does with the place that it is given. */
export type Purpose = 'read' | 'write' | 'make'

/** Options of openChain. Only what begins something makes a chain: what a mistyped place is told must not go into a new one. */
export const OPENED_TO = { read: { readOnly: true }, write: { create: false }, make: {} } as const
