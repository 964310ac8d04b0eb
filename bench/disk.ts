/** What the disk takes for an append and its sync, without any store. */
import { fdatasyncSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { quantile } from './quantile.ts'

const PROBE_BYTES = new Uint8Array(4_096)
const PROBES = 500

/** In ms. */
export async function diskAlone(folder: string): Promise<{ readonly p50: number; readonly p99: number }> {
  const file = await open(join(folder, 'disk-probe'), 'a')
  const times: number[] = []
  for (let i = 0; i < PROBES; i++) {
    const started = performance.now()
    await file.write(PROBE_BYTES)
    fdatasyncSync(file.fd)
    times.push(performance.now() - started)
  }
  await file.close()
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}
