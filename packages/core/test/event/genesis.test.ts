/** What a genesis may say, and that nothing fits between what its roots have signed. */
import { describe, expect, it } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { ByteReader, ByteWriter } from '../../src/codec/writer.ts'
import { FOLD_LEVEL, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import { parseGenesis } from '../../src/event/genesis.ts'
import { decodeRare, encodeRare, type RareFields } from '../../src/event/rare-fields.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { actorOf, Forger } from '../../src/testing/chain-kit.ts'

const crypto = nodeProvider()
const root = actorOf(crypto, 'root')
const genesis = new Forger({ crypto, roots: [root] }).records[0]!.bytes

/** The genesis with other rare fields in the place of its epoch, under the signatures that it has. */
function withRare(change: (rare: RareFields) => RareFields): Uint8Array {
  const input = new ByteReader(genesis, RECORD_HEAD_BYTES)
  const parameters = input.sized(1 << 19)
  const rare = decodeRare(input.sized(1 << 19))
  const out = new ByteWriter(genesis.length + 1024)
  out.raw(genesis.subarray(0, RECORD_HEAD_BYTES))
  out.sized(parameters)
  out.sized(encodeRare(change(rare)))
  out.raw(genesis.subarray(input.at))
  return out.copy()
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return isAteError(error) ? error.code : String(error)
  }
  return 'nothing was thrown'
}

describe('a genesis', () => {
  it('is taken as it was signed', () => {
    expect(withRare((rare) => rare)).toEqual(genesis)
    expect(parseGenesis(crypto, genesis).parameters.level).toBe(FOLD_LEVEL)
  })

  it('holds nothing beside its epoch: the roots have not signed it', () => {
    expect(
      codeOf(() =>
        parseGenesis(
          crypto,
          withRare((rare) => ({ ...rare, retain: 1 })),
        ),
      ),
    ).toBe('BAD_GENESIS')
    expect(
      codeOf(() =>
        parseGenesis(
          crypto,
          withRare(() => ({ retain: 1 })),
        ),
      ),
    ).toBe('BAD_GENESIS')
  })

  it.each([0, -1, 0.5])('of level %s is none', (level) => {
    expect(codeOf(() => new Forger({ crypto, roots: [root], parameters: { level } }))).toBe('BAD_GENESIS')
  })

  it('of a level to come says so', () => {
    expect(codeOf(() => new Forger({ crypto, roots: [root], parameters: { level: FOLD_LEVEL + 1 } }))).toBe(
      'NEEDS_UPGRADE',
    )
  })
})
