/** A place as people type it. */

/** `./garage` is `file:./garage`. A name with a scheme stays; one letter and a colon is a disk of Windows. */
export function placeOf(text: string): string {
  return /^[a-z][a-z0-9+.-]+:/i.test(text) ? text : `file:${text}`
}
