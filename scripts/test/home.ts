/**
 * Vitest's global setup: every run has a fresh ATE_HOME (this machine's identities and remembered heads), so that no
 * test reads or leaves anything in the user's own. Workers inherit the variable.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

export function setup(): () => void {
  const home = mkdtempSync(join(tmpdir(), 'ate-home-'))
  process.env['ATE_HOME'] = home
  return () => rmSync(home, { recursive: true, force: true })
}
