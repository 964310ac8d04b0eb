/**
 * Vitest's global setup: every run has a fresh ATE_HOME (this machine's identities and remembered heads), so that no
 * test reads or leaves anything in the user's own; and a folder for what its files share. Workers inherit the variables.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'ate-tests-'))
  process.env['ATE_HOME'] = join(folder, 'home')
  process.env['ATE_TEST_FOLDER'] = folder
  return () => rmSync(folder, { recursive: true, force: true })
}
