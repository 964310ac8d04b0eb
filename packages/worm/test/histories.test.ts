/**
 * Two histories of one log, written by who holds every key: the split view (some are shown one, some the other) and the linear
 * fake (a second history that is whole in itself). Witnesses sign what continues what they have signed, and nothing else.
 */
import {
  type Chain,
  verifyProof as checkProof,
  type LogEngine,
  type MemoryStore,
  memoryEngine,
  memoryStore,
  openChain,
} from '@ate/core'
import { quickPlatform, type TestWitness } from '@ate/core/testing'
import { expect, it } from 'vitest'
import { verifyProof, type Worm, worm } from '../src/index.ts'
import { codeOf, fourWitnesses, person } from './kit.ts'

const AT = 1_800_000_000_000

/** As a real one does: a note of a log whose note it has signed before needs a proof that it continues that. */
class Witness {
  readonly #signer: TestWitness
  readonly #lies: boolean
  #signed: string | undefined

  constructor(signer: TestWitness, { lies }: { readonly lies: boolean }) {
    this.#signer = signer
    this.#lies = lies
  }

  async cosign(chain: Chain, note: string): Promise<string[]> {
    if (this.#signed !== undefined && !this.#lies) {
      const proof = await chain.proveConsistency(this.#signed, note).catch(() => undefined)
      if (!proof) return []
      checkProof(proof, { chain: chain.id })
    }
    this.#signed = note
    return [this.#signer.cosign(note, AT)]
  }
}

async function copyOf(store: MemoryStore): Promise<MemoryStore> {
  const copy = memoryStore()
  await using from = closing(memoryEngine(store, { readOnly: true }))
  await using to = closing(memoryEngine(copy))
  to.engine.setLabel(from.engine.label!)
  for await (const chunk of from.engine.read(0))
    await to.engine.append(chunk, { after: to.engine.head(), durability: 'memory', load: 'group' })
  for await (const name of from.engine.ring.names()) await to.engine.ring.put(name, (await from.engine.ring.get(name))!)
  return copy
}

function closing(engine: LogEngine): { readonly engine: LogEngine; [Symbol.asyncDispose](): Promise<void> } {
  return { engine, [Symbol.asyncDispose]: () => engine.close() }
}

/** A log that all have seen, and two that go on from it: what was dealt, and what is claimed of it. */
async function twoHistories(liars: number): Promise<{
  readonly real: Worm
  readonly fake: Worm
  /** Makes a checkpoint; `which` of the witnesses are asked, all if left out. */
  readonly publish: (archive: Worm, which?: readonly number[]) => Promise<string>
  [Symbol.asyncDispose](): Promise<void>
}> {
  const { witnesses, all } = fourWitnesses(quickPlatform(1))
  const asked = all.map((signer, i) => new Witness(signer, { lies: i < liars }))
  const publish = async ({ chain }: Worm, which: readonly number[] = [0, 1, 2, 3]): Promise<string> => {
    const lines = async (note: string): Promise<string[]> =>
      (await Promise.all(which.map((i) => asked[i]!.cosign(chain, note)))).flat()
    return codeOf(chain.checkpoint({ cosign: lines, witnesses }))
  }
  const as = await person('root')
  const store = memoryStore()
  const first = await openChain(memoryEngine(store), { as }, quickPlatform(2))
  await worm(first, { witnesses }).put('a', 'shown to all')
  expect(await publish(worm(first, { witnesses }))).toBe('none')
  await first.close()
  const copy = await copyOf(store)
  const [one, two] = await Promise.all(
    [store, copy].map((each, i) => openChain(memoryEngine(each), { as, id: first.id }, quickPlatform(3 + i))),
  )
  const [real, fake] = [worm(one!, { witnesses }), worm(two!, { witnesses })]
  await real.put('deal', 'for 10')
  await fake.put('deal', 'for 90')
  return {
    real,
    fake,
    publish,
    async [Symbol.asyncDispose]() {
      for (const { chain } of [real, fake]) await chain.close()
    },
  }
}

async function shown(archive: Worm, body: string): Promise<string> {
  const witnesses = archive.trust().witnesses!
  return codeOf(archive.prove('deal', { witnesses }).then((proof) => verifyProof(proof, body, archive.trust())))
}

it('a split view: of two histories one is witnessed, whichever comes first, and one witness that lies changes nothing', async () => {
  for (const [liars, order] of [
    [0, 'fake first'],
    [1, 'real first'],
  ] as const) {
    await using both = await twoHistories(liars)
    const { real, fake, publish } = both
    const [one, two] = order === 'real first' ? [real, fake] : [fake, real]
    expect([await publish(one), await publish(two)]).toEqual(['none', 'NOT_WITNESSED'])
    const codes = [await shown(real, 'for 10'), await shown(fake, 'for 90')]
    expect(codes).toEqual(one === real ? ['none', 'NOT_WITNESSED'] : ['NOT_WITNESSED', 'none'])
  }
})

it('honest witnesses that are shown one history each: it takes two of four that lie to show both', async () => {
  for (const liars of [1, 2]) {
    await using both = await twoHistories(liars)
    const { real, fake, publish } = both
    const second = liars === 2 ? 'none' : 'NOT_WITNESSED'
    expect([await publish(real, [0, 1, 2]), await publish(fake, [0, 1, 3])]).toEqual(['none', second])
    expect([await shown(real, 'for 10'), await shown(fake, 'for 90')]).toEqual(['none', second])
  }
})

it('a linear fake: whole in itself, it convinces who trusts no witness, and nobody else', async () => {
  await using both = await twoHistories(0)
  const { real, fake, publish } = both
  expect(await publish(real)).toBe('none')
  expect(await fake.chain.verify()).toMatchObject({ ok: true })
  const own = await fake.chain.checkpoint()
  const proof = await fake.prove('deal')
  const { witnesses: _, ...alone } = fake.trust()
  expect((await verifyProof(proof, 'for 90', alone)).name).toBe('deal')
  expect(await codeOf(verifyProof(proof, 'for 90', fake.trust()))).toBe('NOT_WITNESSED')
  // Lines that were signed over the other history say nothing here.
  const genuine = await real.prove('deal', { witnesses: real.trust().witnesses! })
  const lines = genuine.trimEnd().split('\n').slice(-3)
  expect(await codeOf(verifyProof(`${proof.trimEnd()}\n${lines.join('\n')}\n`, 'for 90', fake.trust()))).not.toBe(
    'none',
  )
  // A note of the one does not continue into the other, and the paths of the other do not make it so.
  const [before, after] = await Promise.all([real.chain.checkpoint(), fake.chain.checkpoint()])
  expect(await codeOf(fake.chain.proveConsistency(before.note))).toBe('FORK')
  const forged = { ...(await fake.chain.proveConsistency(own.note, after.note)), from: before.note }
  expect(await codeOf(Promise.resolve().then(() => checkProof(forged, { chain: fake.chain.id })))).toMatch(/^BAD_/)
})
