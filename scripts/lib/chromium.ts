/** The browser of this machine, for tests. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Undefined where there is none: ATE_CHROMIUM, or `chromium` on the path. */
export function findChromium(): string | undefined {
  const given = process.env['ATE_CHROMIUM']
  if (given) return given
  const names = ['chromium', 'chromium-browser', 'google-chrome']
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find((path) => existsSync(path))
}

/** It asks nobody on the network for anything. */
export const FLAGS: readonly string[] =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split(
    ' ',
  )
