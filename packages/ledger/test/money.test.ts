/** Money: exact, or an error. */

import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  allocate,
  currency,
  decimalText,
  EUR,
  isoCodes,
  isoCurrency,
  JPY,
  money,
  moneyText,
  USD,
} from '../src/index.ts'
import { codeOf } from './kit.ts'

const anyCurrency = fc.integer({ min: 0, max: 30 }).map((scale) => currency('X', scale))
const units = fc.bigInt({ min: -(2n ** 100n) + 1n, max: 2n ** 100n - 1n })

it('writes what it reads, and reads what it writes', () => {
  fc.assert(
    fc.property(anyCurrency, units, (unit, amount) => {
      const made = money(unit, amount)
      expect(money(unit, decimalText(made))).toEqual(made)
    }),
  )
  expect(money(USD, '12.34').units).toBe(1234n)
  expect(money(USD, '-0.05').units).toBe(-5n)
  expect(money(USD, '7').units).toBe(700n)
  expect(money(USD, '7.1000').units).toBe(710n)
  expect(money(JPY, '5').units).toBe(5n)
  expect(decimalText(money(USD, -5n))).toBe('-0.05')
  expect(moneyText(money(JPY, 1000n))).toBe('1000 JPY')
})

it.each([
  ['a number', 12.34],
  ['a whole number', 12],
  ['NaN', Number.NaN],
  ['nothing', ''],
  ['a sign alone', '-'],
  ['a point alone', '.5'],
  ['a point at the end', '5.'],
  ['a comma', '1,000.00'],
  ['an exponent', '1e3'],
  ['a space', ' 1'],
  ['half a cent', '0.005'],
  ['other digits', '１２'],
  ['hexadecimal', '0x10'],
  ['undefined', undefined],
  ['null', null],
  ['an object', {}],
  ['too much', 2n ** 100n],
  ['a very long text', '1'.repeat(10_000)],
])('refuses %s', async (_, given) => {
  expect(await codeOf(() => money(USD, given as string))).toBe('BAD_AMOUNT')
})

it('shares out everything, and nothing more', () => {
  fc.assert(
    fc.property(
      units,
      fc.array(fc.bigInt({ min: 0n, max: 10n ** 12n }), { minLength: 1, maxLength: 20 }),
      (amount, ratios) => {
        fc.pre(ratios.some((ratio) => ratio > 0n))
        const parts = allocate(money(EUR, amount), ratios)
        const total = ratios.reduce((sum, ratio) => sum + ratio, 0n)
        expect(parts.reduce((sum, part) => sum + part.units, 0n)).toBe(amount)
        parts.forEach((part, i) => {
          const exact = part.units * total - amount * ratios[i]!
          expect(exact < total && exact > -total).toBe(true) // off by less than one unit
        })
      },
    ),
  )
  expect(allocate(money(USD, '25.00'), [3n, 97n]).map(({ units: part }) => part)).toEqual([75n, 2425n])
  expect(allocate(money(USD, '0.05'), [1n, 1n, 1n]).map(({ units: part }) => part)).toEqual([2n, 2n, 1n])
})

it('knows ISO 4217, and keeps own currencies apart', async () => {
  expect(isoCodes().length).toBeGreaterThan(150)
  expect(isoCurrency('KWD')?.scale).toBe(3)
  expect(currency('CLF').scale).toBe(4)
  expect(await codeOf(() => currency('USD', 3))).toBe('BAD_ARGUMENT')
  expect(await codeOf(() => currency('GOLDX'))).toBe('BAD_ARGUMENT')
  expect(await codeOf(() => currency('gold', 2))).toBe('BAD_ARGUMENT')
  expect(await codeOf(() => currency('GOLD', 31))).toBe('BAD_ARGUMENT')
  expect(await codeOf(() => allocate(money(USD, '1'), []))).toBe('BAD_ARGUMENT')
  expect(await codeOf(() => allocate(money(USD, '1'), [0n]))).toBe('BAD_ARGUMENT')
  expect(await codeOf(() => allocate(money(USD, '1'), [-1n, 2n]))).toBe('BAD_ARGUMENT')
})
