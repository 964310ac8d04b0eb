import { describe, expect, it } from 'vitest'
import { WholeBlocks } from '../../src/chain/whole-blocks.ts'
import { coreOf, memoryChain, Note } from '../data/kit.ts'

const MIB = 1024 * 1024

function block(size: number): { readonly ciphertext: Uint8Array; readonly plaintext: Uint8Array } {
  return { ciphertext: new Uint8Array(size), plaintext: new Uint8Array(size) }
}

describe('blocks that were written here', () => {
  it('are found by record and block, and not where the session cannot open one', () => {
    const own = new WholeBlocks()
    const [first, third] = [block(10), block(20)]
    own.keep(7, [first, undefined, third])
    expect(own.find(7, 0)).toBe(first)
    expect(own.find(7, 1)).toBeUndefined()
    expect(own.find(7, 2)).toBe(third)
    expect(own.find(6, 0)).toBeUndefined()
    own.clear()
    expect(own.find(7, 0)).toBeUndefined()
  })

  it('are bounded by bytes, the oldest first; one that is kept again counts once', () => {
    const own = new WholeBlocks()
    for (let times = 0; times < 20; times++) own.keep(0, [block(MIB)])
    for (let record = 1; record < 8; record++) own.keep(record, [block(MIB)])
    expect(own.find(0, 0)).toBeDefined()
    own.keep(8, [block(1)])
    expect(own.find(0, 0)).toBeUndefined()
    expect(own.find(1, 0)).toBeDefined()
  })

  it('are bounded by count', () => {
    const own = new WholeBlocks()
    for (let record = 0; record < 4097; record++) own.keep(record, [block(1)])
    expect(own.find(0, 0)).toBeUndefined()
    expect(own.find(1, 0)).toBeDefined()
  })

  it('are read without the log, and only where they are what the view has verified', async () => {
    await using kit = await memoryChain()
    const { chain, engine } = kit
    const { bodies } = coreOf(chain)
    const write = (text: string) => chain.transact((tx) => tx.create(Note, { text }))
    const [first, second] = [await write('first'), await write('other')]
    let reads = 0
    const readPart = engine.readPart.bind(engine)
    engine.readPart = (...given) => {
      reads++
      return readPart(...given)
    }
    expect((await chain.get(Note, first))?.value.text).toBe('first')
    expect(reads).toBe(0)
    bodies.own.keep(chain.seqOf(second), [bodies.own.find(chain.seqOf(first), 0)])
    expect((await chain.get(Note, second))?.value.text).toBe('other')
    expect(reads).toBeGreaterThan(0)
  })
})
