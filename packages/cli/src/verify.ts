/** `ate verify`: reads and checks a whole chain. Exit code 0 if nothing is wrong, 1 if something is. */
import process from 'node:process'
import { AteError, type ErrorCode, type PlaceReport, proofText, verifyPlace } from '@ate/core'
import { writeNew } from './new-file.ts'
import { counted, print, printable, toHex, toJson } from './output.ts'
import { storedPlaceOf } from './place.ts'
import { openProgress } from './progress.ts'

export interface VerifyCommandOptions {
  readonly id?: string
  readonly json?: boolean
  readonly saveEvidence?: string
}

export async function verify(place: string, options: VerifyCommandOptions): Promise<void> {
  const progress = openProgress('verifying')
  let report: PlaceReport
  try {
    report = await verifyPlace(storedPlaceOf(place), {
      ...(options.id === undefined ? {} : { id: options.id }),
      onProgress: progress.update,
    })
  } finally {
    progress.stop()
  }
  await print(options.json ? toJson(reportJson(report)) : reportText(report))
  if (options.saveEvidence !== undefined && report.evidence)
    await writeNew(options.saveEvidence, proofText(report.evidence))
  if (report.ok) return
  process.stderr.write(`${nextText(report, options)}\n`)
  process.exitCode = 1
}

/** What is done about it: the codes say what is wrong. */
function nextText({ problems, evidence }: PlaceReport, { saveEvidence }: VerifyCommandOptions): string {
  const codes = new Set(problems.map(({ code }) => code))
  const [isOlder, isOther] = [codes.delete('ROLLBACK'), codes.delete('FORK')]
  return [
    ...(codes.size > 0 ? [DAMAGE] : []),
    ...(isOlder ? ['Find the newer copy. Only if it is lost for good: `ate recover PLACE`.'] : []),
    ...(isOther ? ['Ask the others of the chain which records they have, before anything is written here.'] : []),
    ...(evidence && saveEvidence === undefined
      ? ['`ate verify PLACE --save-evidence FILE` writes what shows it to others.']
      : []),
  ].join('\n')
}

const DAMAGE =
  'Leave the folder as it is. `ate salvage PLACE TO` copies what is sound, and says what is lost; `ate restore BACKUP TO` makes a chain of a backup.'

function reportText(report: PlaceReport): string {
  const { chain, ok, records, head, problems, sequencers } = report
  const lines = [
    ok
      ? `ok: ${counted(records, 'record')}, all of them as they were written`
      : `NOT ok: ${counted(problems.length, 'problem')}`,
  ]
  if (chain !== undefined) lines.push(`chain      ${chain}`)
  if (head) lines.push(`head       record ${head.seq}, hash ${toHex(head.hash)}`)
  if (!ok) lines.push(`judged     ${counted(records, 'record')}; what follows the first problem hangs on it`)
  if (head) lines.push(`attested   ${attestedText(report)}`)
  if (report.checkpoints > 0) lines.push(`signed     ${counted(report.checkpoints, 'checkpoint')} of the whole log`)
  if (sequencers !== undefined && sequencers !== 'writers') lines.push(`ordered    by ${sequencers.join(', ')} alone`)
  if (report.recoveries > 0)
    lines.push(`recovered  ${counted(report.recoveries, 'time')} after a loss: other copies may hold other records`)
  if (report.voids > 0)
    lines.push(`void       ${counted(report.voids, 'transaction')}, refused by the rules and stored as such`)
  return [...lines, ...problems.map((problem) => problemText(problem))].join('\n')
}

/** `CODE: advice (place)`, as errors are printed. */
export function problemText({ code, ...facts }: PlaceReport['problems'][number]): string {
  return printable(new AteError(code as ErrorCode, facts).message)
}

function attestedText({ ok, attested, adopted, head }: PlaceReport): string {
  const vouched = adopted > 0 ? `; ${counted(adopted, 'commit')} by a manager in the place of their writers` : ''
  if (ok && attested === head?.seq) return `every commit has its author's post-quantum signature${vouched}`
  if (attested === head?.seq) return `up to record ${attested}, as far as it was judged${vouched}`
  return `up to record ${attested}; later commits have no post-quantum signature yet${vouched}`
}

function reportJson({ evidence: _, ...report }: PlaceReport): object {
  return { ...report, head: report.head && { seq: report.head.seq, hash: toHex(report.head.hash) } }
}
