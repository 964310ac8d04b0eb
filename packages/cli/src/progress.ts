/** A bar on stderr, where that is a terminal; elsewhere nothing. */
import process from 'node:process'
import { SingleBar } from 'cli-progress'

export interface Progress {
  readonly update: (done: number, total: number) => void
  readonly stop: () => void
}

export function openProgress(what: string): Progress {
  if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined }
  const bar = new SingleBar({
    stream: process.stderr,
    format: `${what} {bar} {percentage}% | {value}/{total} records | {eta_formatted} left`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
  })
  let started = false
  return {
    update(done, total) {
      if (!started) bar.start(total, 0)
      started = true
      bar.update(done)
    },
    stop() {
      if (started) bar.stop()
    },
  }
}
