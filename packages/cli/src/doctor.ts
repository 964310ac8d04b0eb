/** `ate doctor`: what waits for somebody on a chain. Exit code 0 if all that it found is notes, 1 if something is wrong. */
import process from 'node:process'
import type { DoctorReport, Finding } from '@ate/core'
import { type LookOptions, look } from './look.ts'
import { print, printable, toJson } from './output.ts'

export function doctor(place: string, options: LookOptions): Promise<void> {
  return look(place, options, async (chain) => {
    const report = await chain.doctor()
    await print(options.json ? toJson(report) : reportText(report))
    if (!report.ok) process.exitCode = 1
  })
}

function reportText({ chain, identity, head, ok, findings }: DoctorReport): string {
  const lines = [
    `${ok ? 'ok' : 'NOT ok'}: chain ${chain}, up to record ${head}`,
    `looked at with the keys of ${identity}`,
    ...findings.map(findingText),
  ]
  return lines.join('\n')
}

/** `severity CODE: advice (facts)`, as errors are printed. */
function findingText({ severity, code, advice, facts }: Finding): string {
  const shown = Object.entries(facts).map(
    ([name, value]) => `${name}: ${Array.isArray(value) ? value.join(', ') : value}`,
  )
  return printable(`${severity} ${code}: ${advice}${shown.length > 0 ? ` (${shown.join(', ')})` : ''}`)
}
