/** `fsck`, `audit`, `export`. */
import process from 'node:process'
import { type AuditEvent, auditCsv, auditJson, type Finding } from '@ate/worm'
import { assertNew } from '../new-file.ts'
import { print, printable, short, timeText, toJson } from '../output.ts'
import { usage, type WormOptions, withWorm, writeOut } from './open.ts'

export async function fsckCommand(
  prefix: string | undefined,
  options: WormOptions & { readonly deep?: boolean },
): Promise<void> {
  await withWorm(options, 'read', async (archive) => {
    let sound = 0
    let wrong = 0
    const query = { deep: options.deep === true, ...(prefix === undefined ? {} : { prefix }) }
    for await (const finding of archive.fsck(query)) {
      if (finding.ok) sound++
      else wrong++
      if (options.json) await print(toJson(finding))
      else if (!finding.ok) await print(wrongText(finding))
    }
    if (!options.json) await print(`${sound} sound, ${wrong} not`)
    if (wrong > 0) process.exitCode = 1
  })
}

function wrongText(finding: Exclude<Finding, { readonly ok: true }>): string {
  if (finding.problem === 'log') return `log: ${finding.code} ${printable(toJson(finding.at))}`
  const { ref, problem, code, chunk } = finding
  return `${problem}: ${printable(ref.name)}  ${ref.version}  ${code}${chunk === undefined ? '' : ` in chunk ${chunk}`}`
}

export async function auditCommand(
  name: string | undefined,
  options: WormOptions & { readonly from?: number; readonly csv?: boolean },
): Promise<void> {
  await withWorm(options, 'read', async (archive) => {
    const query = {
      ...(name === undefined ? {} : { name }),
      ...(options.from === undefined ? {} : { from: options.from }),
    }
    if (options.csv) await print(auditCsv())
    for await (const event of archive.audit(query))
      await print(options.csv ? auditCsv(event) : options.json ? toJson(auditJson(event)) : eventText(event))
  })
}

function eventText(event: AuditEvent): string {
  const { seq, at, by, act, ref, reason, matter, until, mode, bypass, code, asked } = event
  const parts = [
    matter === undefined ? '' : `matter ${printable(matter)}`,
    until === undefined ? '' : `until ${timeText(until.getTime())}`,
    mode ?? '',
    bypass ? 'before its time' : '',
    code === undefined ? '' : `${asked}: ${code}`,
    reason === undefined ? '' : `"${printable(reason)}"`,
  ].filter((part) => part !== '')
  const what = `${act} ${printable(ref.name)}  ${ref.version}`
  return [`${seq}  ${timeText(at.getTime())}  ${short(by)}  ${what}`, ...parts].join('  ')
}

export async function exportCommand(
  prefix: string | undefined,
  options: WormOptions & { readonly format: string; readonly proofs?: boolean; readonly out?: string },
): Promise<void> {
  const { format } = options
  if (format !== 'tar' && format !== 'zip') throw usage('--format is tar or zip')
  assertNew(options.out)
  // Proofs of what no checkpoint covers yet need one.
  const purpose = options.proofs === false ? 'read' : 'write'
  await withWorm(options, purpose, async (archive) => {
    const query = prefix === undefined ? {} : { prefix }
    const proofs = options.proofs === false ? ({ proofs: 'omit' } as const) : {}
    await writeOut(archive.export(query, { format, ...proofs }), options.out)
  })
}
