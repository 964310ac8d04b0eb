/** Whatever was thrown or given, as text that can be stored: it never throws, has no half surrogate pair, and has an end. */
import { isAteError } from './errors.ts'

/** At most `charsMax` UTF-16 units: code or name, and message. */
export function errorText(error: unknown, charsMax: number): string {
  const text = wholeText(error)
  if (text.length <= charsMax) return wellFormed(text)
  // Not in the middle of a surrogate pair.
  return `${wellFormed(text.slice(0, charsMax - 1).replace(/[\ud800-\udbff]$/, ''))}…`
}

function wholeText(error: unknown): string {
  try {
    if (!(error instanceof Error)) return String(error)
    return isAteError(error) ? error.message : `${error.name}: ${error.message}`
  } catch {
    // An object without a prototype, or whose toString or message throws.
    return 'what has no text'
  }
}

function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd')
}
