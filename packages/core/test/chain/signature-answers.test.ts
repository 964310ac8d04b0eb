/** Answers about signatures count for what was asked about, once; and hashes of records are those that were pushed. */
import { describe, expect, it } from 'vitest'
import { RecordHashes } from '../../src/chain/record-hashes.ts'
import { SignatureAnswers } from '../../src/chain/signature-answers.ts'
import type { Verifier } from '../../src/crypto/provider.ts'

const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.of(...values)
const [message, signature, other] = [bytes(1, 2), bytes(3, 4), bytes(9, 9)]

interface Counted extends Verifier {
  readonly counts: { ahead: number; inPlace: number }
}

/** Says `ahead` beside the thread, and `inPlace` on it. */
function verifier(ahead: boolean | Error | undefined, inPlace: boolean): Counted {
  const counts = { ahead: 0, inPlace: 0 }
  return {
    counts,
    verify() {
      counts.inPlace++
      return inPlace
    },
    verifyLater() {
      counts.ahead++
      if (ahead === undefined) return undefined
      return ahead instanceof Error ? Promise.reject(ahead) : Promise.resolve(ahead)
    },
  }
}

describe('an answer that was asked for before', () => {
  it('counts, whichever it is, and is taken once', async () => {
    for (const answer of [true, false]) {
      const answers = new SignatureAnswers()
      const key = verifier(answer, !answer)
      answers.ask(5, key, message, signature)
      await answers.done(5)
      expect(answers.verify(5, key, message, signature)).toBe(answer)
      expect(key.counts).toEqual({ ahead: 1, inPlace: 0 })
      expect(answers.verify(5, key, message, signature)).toBe(!answer)
      expect(answers.done(5)).toBeUndefined()
    }
  })

  it('is none for another key, message, signature or record', async () => {
    const key = verifier(true, false)
    for (const [seq, by, text, signed] of [
      [5, verifier(true, false), message, signature],
      [5, key, other, signature],
      [5, key, message, other],
      [6, key, message, signature],
    ] as const) {
      const answers = new SignatureAnswers()
      answers.ask(5, key, message, signature)
      await answers.done(5)
      expect(answers.verify(seq, by, text, signed)).toBe(false)
    }
  })

  it('is worked out in place where it is not there: not yet, not at all, or forgotten', async () => {
    const answers = new SignatureAnswers()
    const early = verifier(false, true)
    answers.ask(1, early, message, signature)
    expect(answers.verify(1, early, message, signature)).toBe(true)
    const broken = verifier(new Error('no threads'), true)
    answers.ask(2, broken, message, signature)
    await answers.done(2)
    expect(answers.verify(2, broken, message, signature)).toBe(true)
    const none = verifier(undefined, true)
    answers.ask(3, none, message, signature)
    expect(answers.done(3)).toBeUndefined()
    expect(answers.verify(3, none, message, signature)).toBe(true)
    const cleared = verifier(false, true)
    answers.ask(4, cleared, message, signature)
    answers.clear()
    expect(answers.verify(4, cleared, message, signature)).toBe(true)
  })
})

describe('a signature that was made here', () => {
  it('is not verified, once, and only over what it was made for', () => {
    const answers = new SignatureAnswers()
    const key = verifier(false, false)
    expect(answers.verify(1, key, message, signature)).toBe(false)
    answers.made(message, signature)
    answers.ask(1, key, message, signature)
    expect(key.counts.ahead).toBe(0)
    expect(answers.verify(1, key, message, other)).toBe(false)
    expect(answers.verify(1, key, other, signature)).toBe(false)
    expect(answers.verify(1, key, message, signature)).toBe(true)
    expect(answers.verify(1, key, message, signature)).toBe(false)
    expect(key.counts.inPlace).toBe(4)
  })

  it('is forgotten when 4,096 newer ones are on their way', () => {
    const answers = new SignatureAnswers()
    const key = verifier(false, false)
    for (let i = 0; i < 4097; i++) answers.made(bytes(i >> 8, i & 255), signature)
    expect([0, 1, 4096].map((i) => answers.verify(1, key, bytes(i >> 8, i & 255), signature))).toEqual([
      false,
      true,
      true,
    ])
  })
})

it('hashes are found by seq, in the small first chunk and in later ones; none before or behind', () => {
  const hashes = new RecordHashes()
  const hash = (i: number): Uint8Array => new Uint8Array(32).fill(i >> 8).fill(i & 255, 16)
  const SIZE = 4096 + 20
  for (let i = 0; i < SIZE; i++) {
    hashes.push(hash(i))
    if (i === 15 || i === 16) expect([hashes.at(i), hashes.at(i + 1)]).toEqual([hash(i), undefined])
  }
  for (const i of [0, 15, 16, 31, 32, 4095, 4096, SIZE - 1]) expect(hashes.at(i)).toEqual(hash(i))
  expect([-1, SIZE, Number.NaN].map((seq) => hashes.at(seq))).toEqual([undefined, undefined, undefined])
  expect([...hashes.pieces()].map((piece) => piece.length)).toEqual([4096 * 32, 20 * 32])
})
