/** A place as people type it. */

/** `./garage` is `file:./garage`. A name with a scheme stays; one letter and a colon is a disk of Windows. */
export function placeOf(text: string): string {
  return /^[a-z][a-z0-9+.-]+:/i.test(text) ? text : `file:${text}`
}

/** What a command does with the place that it is given. */
export type Purpose = 'read' | 'write' | 'make'

/** Options of openChain. Only what begins something makes a chain: what a mistyped place is told must not go into a new one. */
export const OPENED_TO = { read: { readOnly: true }, write: { create: false }, make: {} } as const
