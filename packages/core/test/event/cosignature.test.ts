/** Cosignatures of witnesses: the bytes of C2SP tlog-cosignature, and what is refused. */
import { describe, expect, it } from 'vitest'
import { fromBase64, toBase64, utf8 } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { encodeCheckpoint } from '../../src/event/checkpoint-encode.ts'
import { cosignedAt, cosignersOf, parseWitnesses, requireQuorum, witnessKeyText } from '../../src/event/cosignature.ts'
import { addLines, parseNote } from '../../src/event/note.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { testWitness } from '../../src/testing/witness.ts'

const crypto = nodeProvider()
const logKey = crypto.ed25519Signer(new Uint8Array(32).fill(1))
const signed = encodeCheckpoint(crypto, { origin: 'ate/x', size: 7, root: new Uint8Array(32).fill(9) }, logKey)
const text = new TextDecoder().decode(signed)
const [w1, w2, w3] = ['one.example/w', 'two.example/w', 'three.example/w'].map((name) => testWitness(crypto, name)) as [
  ReturnType<typeof testWitness>,
  ReturnType<typeof testWitness>,
  ReturnType<typeof testWitness>,
]
const all = parseWitnesses(crypto, { keys: [w1.key, w2.key, w3.key], quorum: 2 })
const note = (...lines: string[]): ReturnType<typeof parseNote> => parseNote(addLines(signed, lines))

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return isAteError(error) ? error.code : String(error)
  }
  return 'nothing was thrown'
}

/** The line with its bytes changed. */
function changed(line: string, change: (bytes: Uint8Array) => void): string {
  const at = line.lastIndexOf(' ') + 1
  const bytes = fromBase64(line.slice(at))!
  change(bytes)
  return line.slice(0, at) + toBase64(bytes)
}

describe('cosignatures', () => {
  it('verify over the bytes that the specification names', () => {
    const seed = crypto.sha256(utf8('witness/one.example/w'))
    const key = crypto.ed25519Signer(seed)
    const seconds = 1_679_315_147
    const line = w1.cosign(text, seconds * 1000)
    const bytes = fromBase64(line.slice('— one.example/w '.length))!
    expect(bytes).toHaveLength(76)
    expect([...bytes.subarray(0, 4)]).toEqual([
      ...crypto.sha256(new Uint8Array([...utf8('one.example/w\n'), 4, ...key.publicKey])).subarray(0, 4),
    ])
    expect(new DataView(bytes.buffer).getBigUint64(4)).toBe(BigInt(seconds))
    const body = text.slice(0, text.indexOf('\n\n') + 1)
    const message = utf8(`cosignature/v1\ntime ${seconds}\n${body}`)
    expect(crypto.ed25519Verifier(key.publicKey).verify(message, bytes.subarray(12))).toBe(true)
    expect(requireQuorum(crypto, note(line, w3.cosign(text, 5000)), all)).toEqual([
      { name: 'one.example/w', at: seconds * 1000 },
      { name: 'three.example/w', at: 5000 },
    ])
  })

  it('count a witness once, at its newest time', () => {
    const twice = note(w1.cosign(text, 5000), w1.cosign(text, 9000), w1.cosign(text, 7000))
    expect(cosignersOf(crypto, twice, all)).toEqual([{ name: 'one.example/w', at: 9000 }])
    expect(codeOf(() => requireQuorum(crypto, twice, all))).toBe('NOT_WITNESSED')
  })

  it('of one witness are dated by the newest line that verifies', () => {
    const key = crypto.ed25519Signer(crypto.sha256(utf8('witness/one.example/w'))).publicKey
    const at = (...lines: string[]): unknown => cosignedAt(crypto, note(...lines), { name: 'one.example/w', key })
    const forged = changed(w1.cosign(text, 9000), (bytes) => (bytes[40]! ^= 1))
    expect(at(w1.cosign(text, 5000), forged, w1.cosign(text, 7000), w2.cosign(text, 9000))).toBe(7000)
    expect(at(forged)).toBe(undefined)
    expect(at(w2.cosign(text, 9000))).toBe(undefined)
  })

  it('of unknown keys are ignored, also under a known name or the name of the log', () => {
    const stranger = testWitness(crypto, 'four.example/w')
    const other = crypto.ed25519Signer(new Uint8Array(32).fill(3))
    const namesake = parseWitnesses(crypto, {
      keys: [witnessKeyText(crypto, 'one.example/w', other.publicKey)],
      quorum: 1,
    })
    expect(cosignersOf(crypto, note(stranger.cosign(text, 1000)), all)).toEqual([])
    expect(cosignersOf(crypto, note(w1.cosign(text, 1000)), namesake)).toEqual([])
    expect(cosignersOf(crypto, note('— one.example/w AAAAAAAA'), all)).toEqual([])
  })

  it('of a known witness that do not verify are an error: each byte, a replay at another time or over another tree', () => {
    const line = w1.cosign(text, 5000)
    for (let at = 4; at < 76; at++) {
      const wrong = note(
        w2.cosign(text, 1000),
        changed(line, (bytes) => (bytes[at]! ^= 1)),
      )
      expect(codeOf(() => cosignersOf(crypto, wrong, all))).toBe('BAD_COSIGNATURE')
    }
    const huge = changed(line, (bytes) => bytes.fill(0xff, 4, 12))
    expect(codeOf(() => cosignersOf(crypto, note(huge), all))).toBe('BAD_COSIGNATURE')
    // A time that no number of ms holds, though the witness has signed it.
    expect(codeOf(() => cosignersOf(crypto, note(w1.cosign(text, 2 ** 43 * 1000)), all))).toBe('BAD_COSIGNATURE')
    const cut = `— one.example/w ${toBase64(fromBase64(line.slice(16))!.subarray(0, 75))}`
    expect(codeOf(() => cosignersOf(crypto, note(cut), all))).toBe('BAD_COSIGNATURE')
    const elsewhere = parseNote(utf8(`${text.replace('\n7\n', '\n8\n')}${line}\n`))
    expect(codeOf(() => cosignersOf(crypto, elsewhere, all))).toBe('BAD_COSIGNATURE')
    // One good line beside a wrong one does not make it good.
    expect(
      codeOf(() =>
        cosignersOf(
          crypto,
          note(
            line,
            changed(line, (bytes) => (bytes[11]! ^= 1)),
          ),
          all,
        ),
      ),
    ).toBe('BAD_COSIGNATURE')
  })

  it('hold to the one Ed25519 rule: R that is the identity, and a key of small order, are refused', () => {
    const line = w1.cosign(text, 5000)
    const identity = changed(line, (bytes) => bytes.fill(0, 12, 44).fill(1, 12, 13))
    expect(codeOf(() => cosignersOf(crypto, note(identity), all))).toBe('BAD_COSIGNATURE')
    const small = new Uint8Array(32).fill(0)
    small[0] = 1
    const weak = parseWitnesses(crypto, { keys: [witnessKeyText(crypto, 'weak.example', small)], quorum: 1 })
    const keyId = fromBase64(
      toBase64(crypto.sha256(new Uint8Array([...utf8('weak.example\n'), 4, ...small]))),
    )!.subarray(0, 4)
    // S = 0 and R = identity satisfy the equation for the identity key, whatever the message is.
    const forged = new Uint8Array([...keyId, ...new Uint8Array(8), 1, ...new Uint8Array(63)])
    expect(codeOf(() => cosignersOf(crypto, note(`— weak.example ${toBase64(forged)}`), weak))).toBe('BAD_COSIGNATURE')
  })
})

describe('keys of witnesses', () => {
  it('are those of C2SP, each once, and a quorum that they can reach', () => {
    const bad = (keys: readonly unknown[], quorum: unknown = 1): void =>
      expect(codeOf(() => parseWitnesses(crypto, { keys, quorum } as never))).toBe('BAD_ARGUMENT')
    bad([])
    bad([w1.key], 0)
    bad([w1.key], 2)
    bad([w1.key], 0.5)
    bad([w1.key, w1.key])
    // One key under two names would count twice.
    const key = crypto.ed25519Signer(crypto.sha256(utf8('witness/one.example/w'))).publicKey
    bad([w1.key, witnessKeyText(crypto, 'other.example', key)], 2)
    bad([w1.key.replace('one', 'won')])
    bad([w1.key.replace('+', ' ')])
    bad([w1.key.replace(/\+([^+]+)$/, (_, typed: string) => `+${toBase64(fromBase64(typed)!.fill(1, 0, 1))}`)])
    bad([5])
    bad(Array.from({ length: 33 }, (_, i) => testWitness(crypto, `w${i}`).key))
  })
})

describe('lines that are added', () => {
  it('have the form of one, once each, and fit', () => {
    const line = w1.cosign(text, 1000)
    expect(note(line, line).lines).toHaveLength(2)
    for (const wrong of [
      '',
      'x',
      '— name',
      '— a b AAAAAAAA',
      `${line}\n`,
      `${line}\n${line}`,
      '— a+b AAAAAAAA',
      '— a AAAA',
      '— a AAAAAAA',
    ])
      expect(codeOf(() => addLines(signed, [wrong]))).toBe('BAD_CHECKPOINT')
    const many = Array.from({ length: 31 }, (_, i) => w1.cosign(text, i * 1000))
    expect(note(...many).lines).toHaveLength(32)
    expect(codeOf(() => note(...many, w2.cosign(text, 1000)))).toBe('BAD_CHECKPOINT')
    expect(codeOf(() => addLines(signed, [`— a ${'A'.repeat(20_000)}`]))).toBe('BAD_CHECKPOINT')
  })
})
