import { expect, test } from 'vitest'
import { defineType } from '../../src/data/entity-type.ts'
import type { OpenOptions } from '../../src/data/open-chain.ts'
import { SyncMeter, type SyncProgress } from '../../src/data/sync-progress.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { machine, someone, startServer } from './net-kit.ts'

const Note = defineType<string>('note')

test('a first sync tells how far it is: records, bytes, and what is left', async () => {
  await using server = await startServer()
  const options: OpenOptions = { as: someone(), serverKey: server.identity }
  const url = `${server.url}/notes`
  await using writer = await openChain(url, { ...options, create: true }, machine())
  for (let i = 0; i < 140; i++) await writer.transact((tx) => tx.create(Note, `note ${i}`))
  const told: SyncProgress[] = []
  const onProgress = (progress: SyncProgress): void => void told.push(progress)
  await using reader = await openChain(url, { ...options, onProgress }, machine())
  const count = reader.stats().records
  expect(told.length).toBeGreaterThan(1)
  expect(told.every(({ records }, i) => i === 0 || records > told[i - 1]!.records)).toBe(true)
  expect(told.every(({ records, recordsTotal }) => records <= recordsTotal && recordsTotal === count)).toBe(true)
  expect(told.every(({ bytes, bytesEstimate, remainingMs }) => bytes <= bytesEstimate && remainingMs >= 0)).toBe(true)
  expect(told.at(-1)).toMatchObject({ records: count, bytesEstimate: told.at(-1)!.bytes, remainingMs: 0 })
})

test('what onProgress throws ends the opening, and nothing is left behind', async () => {
  await using server = await startServer()
  const options: OpenOptions = { as: someone(), serverKey: server.identity }
  const url = `${server.url}/notes`
  await (await openChain(url, { ...options, create: true }, machine())).close()
  const stop = (): never => {
    throw new Error('enough')
  }
  await expect(openChain(url, { ...options, onProgress: stop }, machine())).rejects.toThrow('enough')
  await expect(openChain(url, { ...options, onProgress: 'loud' as never }, machine())).rejects.toMatchObject({
    code: 'BAD_ARGUMENT',
  })
})

test('the rest is estimated by what has come', () => {
  const meter = new SyncMeter(400, 1_000)
  const bytes = new Uint8Array(50)
  const hundred = Array.from({ length: 100 }, () => ({ bytes }))
  expect(meter.add(hundred, 2_000)).toEqual({
    records: 100,
    recordsTotal: 400,
    bytes: 5_000,
    bytesEstimate: 20_000,
    remainingMs: 3_000,
  })
  expect(meter.add(hundred, 5_000)).toMatchObject({ records: 200, bytesEstimate: 20_000, remainingMs: 4_000 })
  // More than there were at first.
  meter.add(hundred, 6_000)
  meter.add(hundred, 7_000)
  expect(meter.add(hundred, 8_000)).toMatchObject({ records: 500, recordsTotal: 500, remainingMs: 0 })
})
