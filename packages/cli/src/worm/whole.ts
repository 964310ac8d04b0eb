/** `fsck`, `audit`, `export`. */
import process from 'node:process'
import { AteError } from '@ate/core'
import { type AuditEvent, auditCsv, auditJson, type Finding, type Worm } from '@ate/worm'
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
    const next = new Set<keyof typeof NEXT>()
    const query = { deep: options.deep === true, ...(prefix === undefined ? {} : { prefix }) }
    for await (const finding of archive.fsck(query)) {
      if (finding.ok) sound++
      else {
        wrong++
        next.add(finding.problem)
      }
      if (options.json) await print(toJson(finding))
      else if (!finding.ok) await print(wrongText(finding))
    }
    if (sound + wrong === 0) await assertAny(archive, prefix)
    if (!options.json) await print(`${sound} sound, ${wrong} not`)
    if (wrong === 0) return
    process.stderr.write(`${[...next].map((problem) => NEXT[problem]).join('\n')}\n`)
    process.exitCode = 1
  })
}

/** What is done about it. A body stands in the log alone: what is wrong here is right only in another copy. */
const NEXT: Readonly<Record<(Finding & { readonly ok: false })['problem'], string>> = {
  altered:
    'altered: leave the folder as it is; `ate restore BACKUP TO` makes a chain of a backup, from which `ate worm get` gives what is sound.',
  missing:
    'missing: a part or its key is gone; `ate restore BACKUP TO` makes a chain of a backup, which has it if it holds keys.',
  unlocked: 'unlocked: nothing keeps it as it was put; `ate worm audit NAME` says who put it. Put it again.',
  log: 'log: `ate verify PLACE` says more; `ate salvage PLACE TO` copies what is sound, and leaves the folder as it is.',
}

/** That nothing is wrong with nothing is no answer to who has mistyped a name. @throws AteError NOT_FOUND */
async function assertAny(archive: Worm, prefix: string | undefined): Promise<void> {
  if (prefix === undefined && (await archive.info()).witnesses) return
  for await (const { ref } of archive.audit()) if (ref.name.startsWith(prefix ?? '')) return
  throw prefix === undefined
    ? new AteError('NOT_FOUND', { chain: archive.chain.id }, { hint: NO_ARCHIVE })
    : new AteError('NOT_FOUND', { prefix, chain: archive.chain.id }, { hint: NO_NAMES })
}

const NO_ARCHIVE =
  'nothing was put into an archive of this name here: --at names the chain, and --name one of several archives'
const NO_NAMES = 'nothing was put under a name that begins so: `ate worm ls` lists what is there'

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
    let count = 0
    for await (const event of archive.audit(query)) {
      if (options.csv && count === 0) await print(auditCsv())
      count++
      await print(options.csv ? auditCsv(event) : options.json ? toJson(auditJson(event)) : eventText(event))
    }
    if (count > 0) return
    if (name !== undefined) await assertKnown(archive, name)
    if (options.csv) await print(auditCsv())
  })
}

/** As fsck: of a name under which nothing ever was. @throws AteError NOT_FOUND */
async function assertKnown(archive: Worm, name: string): Promise<void> {
  for await (const _ of archive.audit({ name })) return
  await archive.stat(name)
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
