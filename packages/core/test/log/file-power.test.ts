/**
 * Power cuts at every operation of short workloads, and at every operation of the recovery after them.
 *
 * @newest-node-only: a simulated disk is the same on every Node
 */
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/testing/random.ts'
import { Trial, type TrialOptions, untilFault } from './trial.ts'

/** Workloads that are drawn, beside those that are written here. */
const DRAWN = Number(process.env['ATE_DRAWN'] ?? 10)

/** What a cut leaves of that which was not synced is drawn this many times for each operation. */
const CRASHES = process.env['ATE_DRAWN'] === undefined ? 4 : 8

type Workload = readonly [name: string, run: (trial: Trial) => Promise<void>, options?: TrialOptions]

const WORKLOADS: readonly Workload[] = [
  [
    'creation and the first record',
    async (t) => {
      await t.open()
      await t.append([100])
    },
  ],
  [
    'three records, each synced',
    async (t) => {
      await t.open()
      for (let i = 0; i < 3; i++) await t.append([200])
    },
  ],
  [
    'records that wait for a later sync',
    async (t) => {
      await t.open()
      await t.append([300], 'os')
      await t.append([700, 20], 'os')
      await t.append([10])
      await t.append([900], 'os')
    },
  ],
  [
    'records that nobody waits for, synced behind',
    async (t) => {
      await t.open()
      for (let i = 0; i < 5; i++) await t.append([500, 30], 'os')
      await t.append([10])
      await t.append([900], 'os')
    },
    { syncBehindBytes: 600 },
  ],
  [
    'without zeros ahead',
    async (t) => {
      await t.open()
      await t.append([300], 'os')
      await t.append([1000, 20])
      await t.append([10])
    },
    { zeroFillBytes: 0 },
  ],
  [
    'rotation',
    async (t) => {
      await t.open()
      for (let i = 0; i < 4; i++) await t.append([400, 300])
    },
  ],
  [
    'a batch larger than a segment',
    async (t) => {
      await t.open()
      await t.append([10])
      await t.append([4000, 4000])
      await t.append([10])
    },
  ],
  [
    'close and open again',
    async (t) => {
      await t.open()
      t.log!.setLabel(new Uint8Array(32).fill(5))
      await t.append([100])
      await t.close()
      await t.check('close')
      await t.append([200])
      await t.close()
    },
  ],
  [
    'a process that dies, and its successor',
    async (t) => {
      await t.open()
      await t.append([100])
      await t.append([700], 'os')
      await t.kill()
      await t.check('kill')
      await t.append([200])
      await t.kill()
      await t.check('kill')
    },
  ],
  [
    'a torn tail that is put into quarantine',
    async (t) => {
      await t.open()
      await t.append([100])
      await t.kill()
      t.fs.poke('seg-000000.ate', (bytes) => {
        const torn = new Uint8Array(bytes.length + 700)
        torn.set(bytes)
        return torn.fill(0xee, 4400, 5900)
      })
      await t.check('kill')
      await t.append([100])
    },
  ],
  [
    'keys that are put, replaced and erased',
    async (t) => {
      await t.open()
      await t.put(1)
      await t.put(2)
      await t.append([100])
      await t.put(1)
      await t.erase(1)
      await t.erase(2)
      await t.put(2)
    },
  ],
  [
    'keys that are put at once, new ones and some that are there',
    async (t) => {
      await t.open()
      await t.put(1)
      await t.putAll([1, 2, 3])
      await t.append([100])
      await t.erase(2)
      await t.putAll([2, 4])
      await t.erase(1)
    },
  ],
  [
    'snapshots that are written, replaced, and stopped by a full disk',
    async (t) => {
      await t.open()
      await t.append([100])
      await t.snapshot(2500)
      await t.append([200], 'os')
      await t.snapshot(3500)
      await t.append([300])
      t.fs.faults.spaceBytes = 1
      expect(await t.snapshot(4000)).toBe('DISK_FULL')
      delete t.fs.faults.spaceBytes
      await t.append([100])
      await t.close()
    },
  ],
  [
    'a full disk in between',
    async (t) => {
      await t.open()
      await t.append([100])
      t.fs.faults.failWrite = { at: t.fs.counts.writes + 1, code: 'ENOSPC', written: 200 }
      t.fs.faults.spaceBytes = 8192 + 4096 + 400
      expect(await t.append([300, 2000])).toBe(false)
      delete t.fs.faults.spaceBytes
      await t.append([300, 30])
      await t.append([700])
    },
    { zeroFillBytes: 0 },
  ],
]

/** A few steps drawn from a seed: what short programs do, in orders that nobody thought of. */
function drawn(seed: number): Workload {
  const random = seededRandom(seed)
  const steps: ((trial: Trial) => Promise<unknown>)[] = []
  for (let i = 0, count = 2 + random.below(4); i < count; i++) {
    const draw = random.below(10)
    const sizes = Array.from({ length: 1 + random.below(3) }, () => random.below(random.oneIn(3) ? 2500 : 300))
    const name = 1 + random.below(2)
    if (draw < 4) steps.push((t) => t.append(sizes))
    else if (draw < 6) steps.push((t) => t.append(sizes, 'os'))
    else if (draw < 7) steps.push((t) => t.put(name))
    else if (draw < 8) steps.push((t) => t.erase(name))
    else if (draw < 9) steps.push((t) => t.close().then(() => t.check('close')))
    else steps.push((t) => t.kill().then(() => t.check('kill')))
  }
  const run = async (trial: Trial): Promise<void> => {
    await trial.open()
    for (const step of steps) await step(trial)
  }
  return [`drawn from seed ${seed}`, run, { zeroFillBytes: random.oneIn(2) ? 0 : 4096 }]
}

const ALL: readonly Workload[] = [...WORKLOADS, ...Array.from({ length: DRAWN }, (_, i) => drawn(i + 1))]

async function runCut(workload: Workload, seed: number, cutAfter: number): Promise<Trial> {
  const trial = new Trial(seed, workload[2])
  trial.fs.faults.cutAfter = cutAfter
  await untilFault(() => workload[1](trial))
  return trial
}

async function operationsOf(workload: Workload): Promise<number> {
  return (await runCut(workload, 1, Number.POSITIVE_INFINITY)).fs.counts.operations
}

describe('a power cut after each operation', () => {
  for (const workload of ALL) {
    it(workload[0], async () => {
      const operations = await operationsOf(workload)
      expect(operations).toBeGreaterThan(5)
      for (let cut = 1; cut <= operations; cut++) {
        for (let seed = 1; seed <= CRASHES; seed++) {
          const trial = await runCut(workload, seed, cut)
          await trial.powerCutAndCheck().catch((error) => {
            throw new Error(`operation ${cut} of ${operations}, seed ${seed}: ${error.message}`, { cause: error })
          })
        }
      }
    })
  }
})

describe('a power cut after each operation of a recovery', () => {
  for (const workload of ALL) {
    it(workload[0], async () => {
      const operations = await operationsOf(workload)
      for (let cut = 2; cut <= operations; cut++) {
        for (let again = 1, isOver = false; !isOver; again++) {
          const trial = await runCut(workload, cut + again, cut)
          trial.fs.crash()
          await trial.log?.close().catch(() => undefined)
          const before = trial.fs.counts.operations
          trial.fs.faults.cutAfter = before + again
          await untilFault(() => trial.open().then(() => undefined))
          isOver = !trial.fs.isCut
          await trial.powerCutAndCheck().catch((error) => {
            throw new Error(`operation ${cut}, then ${again}: ${error.message}`, { cause: error })
          })
        }
      }
    })
  }
})
