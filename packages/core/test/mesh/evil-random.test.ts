/**
 * A server with the right key that alters, drops, repeats, swaps and invents messages by chance: whatever it does, what is
 * told and shown is true, errors are ours, and everything ends. ATE_SEEDS_NET sets how many lives, ATE_SEED which.
 */
import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../src/codec/writer.ts'
import type { Chain } from '../../src/data/chain.ts'
import { type ServerMessage, serverMessagesIn, writeServerMessage } from '../../src/mesh/messages.ts'
import type { SeededRandom } from '../../src/testing/random.ts'
import type { Line, Tamper } from './evil-kit.ts'
import { EvilWorld } from './evil-world.ts'

const SEEDS = Number(process.env['ATE_SEEDS_NET'] ?? 5)
const FIRST = Number(process.env['ATE_SEED'] ?? 1)

/** One message in so many is not what it was. */
function chaos(random: SeededRandom, oneIn: number): Tamper {
  const past: ServerMessage[] = []
  let held: ServerMessage | undefined
  return {
    toClient(message, line) {
      past.push(message)
      const behind = held
      held = undefined
      if (random.below(oneIn) > 0) return behind ? [message, behind] : [message]
      switch (random.below(6)) {
        case 0:
          return behind ? [behind] : []
        case 1:
          return [message, message]
        case 2:
          held = message
          return behind ? [behind] : []
        case 3:
          return [past[random.below(past.length)]!, message]
        case 4:
          return [message, past[random.below(past.length)]!]
        default:
          return altered(message, random, line)
      }
    },
    toServer: (message) => (random.below(oneIn * 4) > 0 ? [message] : random.below(2) ? [] : [message, message]),
  }
}

/** Some bytes of it are others: still a message, or a frame that is none. */
function altered(message: ServerMessage, random: SeededRandom, line: Line): readonly ServerMessage[] {
  const out = new ByteWriter(4096)
  writeServerMessage(out, message)
  const bytes = out.copy()
  for (let i = random.below(3); i >= 0; i--) bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
  try {
    return [...serverMessagesIn(bytes)]
  } catch {
    line.rawToClient(bytes)
    return []
  }
}

async function oneLife(seed: number): Promise<void> {
  const world = await EvilWorld.start(seed)
  const sim = world.world
  const { random } = sim
  const first = await sim.wait(world.open('garden', { create: true }))
  const { id } = first
  await sim.wait(world.write(first, 'first'))
  const chains: Chain[] = [first, await sim.wait(world.open('garden', { id }))]
  world.evil.tamper = chaos(random, 4 + random.below(20))
  const running: Promise<unknown>[] = []
  for (let step = 0; step < 25; step++) {
    const dice = random.below(10)
    const at = random.below(chains.length)
    const chain = chains[at]
    if (!chain || dice === 0) {
      const aborting = new AbortController()
      const timer = sim.time.timers.start(60_000, () => aborting.abort(new DOMException('', 'AbortError')))
      const opening = world.open('garden', { id, signal: aborting.signal }).catch((error) => {
        if (error instanceof DOMException) return 'ABORTED'
        throw error
      })
      const opened = await world.result(opening, 100_000)
      timer.cancel()
      if (typeof opened !== 'string') chains.push(opened)
    } else if (dice < 7) running.push(world.write(chain, `${seed}/${step}`))
    else if (dice === 7) running.push(world.result(chain.refresh()))
    else if (dice === 8) world.check(await sim.wait(world.texts(chain)).then((texts) => onlyFalse(world, texts)))
    else {
      chains.splice(at, 1)
      await world.result(chain.close(), 200_000)
    }
    await sim.time.run(random.below(3000))
  }
  await sim.wait(Promise.all(running), 600_000)
  for (const chain of chains) {
    expect(onlyFalse(world, await sim.wait(world.texts(chain)))).toBeDefined()
    await world.result(chain.close(), 200_000)
  }
  await sim.time.run(100_000)
  await world.settle('garden', id)
  await sim.time.run(100_000)
  expect(sim.network.connections).toBe(0)
}

/** What one client shows may be less than what is acknowledged to another; it is never something else, nor twice. */
function onlyFalse(world: EvilWorld, texts: readonly string[]): readonly string[] {
  for (const text of texts) if (!world.marks.has(text)) throw new Error(`shows ${text}`)
  if (new Set(texts).size !== texts.length) throw new Error('shows one twice')
  return [...new Set([...texts, ...world.told.filter(({ code }) => code === 'ok').map(({ mark }) => mark)])]
}

describe('a server that does anything', () => {
  test(`makes nobody believe what is not true, in ${SEEDS} lives`, async () => {
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      await oneLife(seed).catch((error) => {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
      })
    }
  })
})
