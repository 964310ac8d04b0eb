/** `ate ledger bench`: how fast this machine posts, each answer durable on the disk of the folder for temporary files. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIdentity, openChain } from '@ate/core'
import { currency, type Ledger, ledger, money, type Transfer } from '@ate/ledger'
import { print, toJson } from './output.ts'

interface BenchWords {
  readonly transfers: number
  readonly amounts: 'sealed' | 'clear'
  readonly json?: boolean
}

const ACCOUNTS = 100
const UNIT = currency('BENCH', 2)

export async function ledgerBench({ transfers, amounts, json }: BenchWords): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ate-ledger-bench-'))
  const chain = await openChain(`file:${join(folder, 'chain')}`, { as: await createIdentity() })
  try {
    const bank = ledger(chain, { amounts })
    await bank.account('world', { currency: UNIT, floor: 'none' })
    const names = Array.from({ length: ACCOUNTS }, (_, i) => `account-${i}`)
    await Promise.all(names.map((name) => bank.account(name, { currency: UNIT })))
    const transferOf = (round: string, i: number): Transfer => ({
      id: `${round}-${i}`,
      from: 'world',
      to: names[i % ACCOUNTS]!,
      amount: money(UNIT, 1n),
    })
    const many = (round: string, count: number): Transfer[] =>
      Array.from({ length: count }, (_, i) => transferOf(round, i))
    await loadAll(bank, many('warm', transfers))
    const rows = {
      'batches of 4,096': await rate(transfers, () => loadAll(bank, many('load', transfers))),
      '1,000 in flight': await rate(transfers, () => inFlight(bank, many('flight', transfers))),
      'one at a time': await rate(Math.min(transfers, 500), () => inTurn(bank, many('turn', Math.min(transfers, 500)))),
    }
    await bank.verify()
    if (json) return print(toJson({ amounts, transfersPerSecond: rows }))
    for (const [name, perSecond] of Object.entries(rows))
      await print(`${name.padEnd(20)}${perSecond.toLocaleString('en')} transfers/s`)
  } finally {
    await chain.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function rate(count: number, run: () => Promise<void>): Promise<number> {
  const from = performance.now()
  await run()
  return Math.round((count / (performance.now() - from)) * 1000)
}

async function loadAll(bank: Ledger, transfers: readonly Transfer[]): Promise<void> {
  for await (const outcome of bank.load(transfers)) if (!outcome.ok) throw outcome.error
}

async function inFlight(bank: Ledger, transfers: readonly Transfer[]): Promise<void> {
  for (let i = 0; i < transfers.length; i += 1000)
    await Promise.all(transfers.slice(i, i + 1000).map((one) => bank.transfer(one)))
}

async function inTurn(bank: Ledger, transfers: readonly Transfer[]): Promise<void> {
  for (const one of transfers) await bank.transfer(one)
}
