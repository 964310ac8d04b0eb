/** Opens a folder as the place of a chain: loaded where there are folders. */
import type { LogEngine } from '../log/engine.ts'
import { openFileLog } from '../log/file-engine.ts'
import type { Platform } from '../session/platform.ts'
import type { PlaceOptions } from './place.ts'

/** Its modules were loaded in this turn, and the log has another. */
export async function openFilePlace(
  path: string,
  wanted: PlaceOptions & { readonly create: boolean; readonly label: Uint8Array | undefined },
  platform: Platform,
): Promise<LogEngine> {
  const { readOnly = false, onDamage, standing, standings, segmentBytes, observing, create, label } = wanted
  const { timers, random, clock } = platform.environment
  const pause = (): Promise<void> => timers.pause()
  await pause()
  return openFileLog({
    fs: await platform.openFolder(path),
    random,
    clock,
    crc32: platform.crc32,
    pause,
    readOnly,
    ...(observing ? { onSync: (tookMs: number) => observing.tell({ kind: 'sync', ms: tookMs }) } : {}),
    ...(onDamage ? { onDamage } : {}),
    ...(standing ? { standing } : {}),
    ...(standings ? { standings } : {}),
    ...(segmentBytes ? { segmentBytes } : {}),
    create,
    ...(label ? { label } : {}),
  })
}
