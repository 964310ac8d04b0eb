import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { HashThread, type Thread } from '../../src/node/hash-thread.ts'

function shared(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(new SharedArrayBuffer(size))
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + seed) & 255
  return bytes
}

function sha256(data: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(data).digest())
}

interface Message {
  readonly id: number
  readonly buffer: SharedArrayBuffer
  readonly at: number
  readonly size: number
}

/** A thread that answers when it is told to. */
class FakeThread implements Thread {
  readonly asked: Message[] = []
  isHolding = true
  #answer: (answer: { readonly id: number; readonly hash: Uint8Array }) => void = () => {}
  readonly #ends: (() => void)[] = []

  postMessage(message: unknown): void {
    this.asked.push(message as Message)
  }

  on(event: 'message' | 'error' | 'exit', listener: never): void {
    if (event === 'message') this.#answer = listener
    else this.#ends.push(listener)
  }

  ref(): void {
    this.isHolding = true
  }

  unref(): void {
    this.isHolding = false
  }

  async answer(how: 'right' | 'wrong' = 'right'): Promise<void> {
    for (const { id, buffer, at, size } of this.asked.splice(0)) {
      const hash = sha256(new Uint8Array(buffer, at, size))
      if (how === 'wrong') hash[31]! ^= 1
      this.#answer({ id, hash })
    }
    for (let i = 0; i < 5; i++) await Promise.resolve()
  }

  end(): void {
    for (const end of this.#ends) end()
  }
}

/** With a thread that has proved itself. */
async function ready(): Promise<{ readonly hashes: HashThread; readonly fake: FakeThread }> {
  const fake = new FakeThread()
  const hashes = new HashThread(() => fake, 1)
  hashes.hash(shared(1, 0))
  await fake.answer()
  return { hashes, fake }
}

it('a thread begins when enough was asked for, and then hashes any part of shared memory', async () => {
  const hashes = new HashThread(undefined, 100_000)
  const data = shared(60_000, 1)
  expect([hashes.hash(data), hashes.hash(data)]).toEqual([undefined, undefined])
  let answer: Promise<Uint8Array> | undefined
  while (!answer) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    answer = hashes.hash(data)
  }
  const parts = [data, data.subarray(5, 700), data.subarray(100, 100), shared(300_000, 2)]
  const answers = await Promise.all(parts.map((part) => hashes.hash(part)!))
  expect(answers.map(toHex)).toEqual(parts.map((part) => toHex(sha256(part))))
  expect(toHex(await answer)).toBe(toHex(sha256(data)))
})

it('none begins for little, a second time, or where it is not allowed', async () => {
  const begun: FakeThread[] = []
  const begin = (): Thread => {
    begun.push(new FakeThread())
    return begun.at(-1)!
  }
  const hashes = new HashThread(begin, 10)
  hashes.hash(shared(9, 0))
  expect(begun.length).toBe(0)
  for (let i = 0; i < 3; i++) expect(hashes.hash(shared(9, 0))).toBe(undefined)
  expect(begun.length).toBe(1)
  const refused = new HashThread(() => {
    begun.push(new FakeThread())
    throw new Error('ERR_ACCESS_DENIED')
  }, 1)
  for (let i = 0; i < 3; i++) expect(refused.hash(shared(9, 0))).toBe(undefined)
  expect(begun.length).toBe(2)
})

it('one that hashes wrongly is not used', async () => {
  const fake = new FakeThread()
  const hashes = new HashThread(() => fake, 1)
  expect(hashes.hash(shared(1, 0))).toBe(undefined)
  await fake.answer('wrong')
  expect(hashes.hash(shared(1, 0))).toBe(undefined)
  expect(fake.asked).toEqual([])
})

it('what it owes when it ends is answered all the same, and nothing is asked of it any more', async () => {
  const { hashes, fake } = await ready()
  const [one, two] = [shared(100, 1), shared(200, 2)]
  const owed = [hashes.hash(one)!, hashes.hash(two)!]
  fake.end()
  expect((await Promise.all(owed)).map(toHex)).toEqual([one, two].map((data) => toHex(sha256(data))))
  expect(hashes.hash(one)).toBe(undefined)
})

it('one that ends before it has proved itself is not used', async () => {
  const fake = new FakeThread()
  const hashes = new HashThread(() => fake, 1)
  hashes.hash(shared(1, 0))
  fake.end()
  for (let i = 0; i < 5; i++) await Promise.resolve()
  expect(hashes.hash(shared(1, 0))).toBe(undefined)
})

it('the process stays for an answer, and for nothing else', async () => {
  const fake = new FakeThread()
  const hashes = new HashThread(() => fake, 1)
  hashes.hash(shared(1, 0))
  // While it begins, too, nobody waits.
  const held = [fake.isHolding]
  await fake.answer()
  held.push(fake.isHolding)
  const answers = [hashes.hash(shared(10, 1))!, hashes.hash(shared(10, 2))!]
  held.push(fake.isHolding)
  await fake.answer()
  await Promise.all(answers)
  held.push(fake.isHolding)
  expect(held).toEqual([false, false, true, false])
})
