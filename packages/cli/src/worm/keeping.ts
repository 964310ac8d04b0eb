/** `extend`, `hold`, `release`, `dispose`, `erase`. */
import type { Stored, Worm } from '@ate/worm'
import { print, printable, timeText, toJson } from '../output.ts'
import { lineOf } from './objects.ts'
import { refOf, timeOf, usage, type WormOptions, withWorm } from './open.ts'

export interface ReasonOptions extends WormOptions {
  readonly reason?: string
}

export async function extendCommand(
  name: string,
  until: string,
  options: ReasonOptions & { readonly compliance?: boolean },
): Promise<void> {
  const time = timeOf(until)
  await withWorm(options, 'write', async (archive) => {
    const stored = await archive.extend(refOf(name, options), time, {
      ...(options.compliance ? { mode: 'compliance' } : {}),
      ...reasonOf(options),
    })
    await print(options.json ? toJson(stored, 2) : lineOf(stored))
  })
}

export async function holdCommand(name: string, matter: string, options: ReasonOptions): Promise<void> {
  await withWorm(options, 'write', async (archive) => {
    const stored = await archive.hold(refOf(name, options), matter, reasonOf(options))
    await print(options.json ? toJson(stored, 2) : lineOf(stored))
  })
}

export async function releaseCommand(
  name: string,
  matter: string,
  options: WormOptions & { readonly reason: string },
): Promise<void> {
  await withWorm(options, 'write', async (archive) => {
    const stored = await archive.release(refOf(name, options), matter, { reason: options.reason })
    await print(options.json ? toJson(stored, 2) : lineOf(stored))
  })
}

export interface DisposeCommandOptions extends WormOptions {
  readonly reason: string
  readonly bypassGovernance?: boolean
  readonly dryRun?: boolean
  readonly yes?: boolean
}

/** Without --yes it only says what would go, and why it would not. */
export async function disposeCommand(name: string, options: DisposeCommandOptions): Promise<void> {
  if (options.dryRun) {
    await withWorm(options, 'read', async (archive) => {
      const stored = await archive.stat(refOf(name, options))
      const over = (stored.retainUntil?.getTime() ?? 0) <= timeThatCounts(archive, stored)
      const open = over || (options.bypassGovernance === true && stored.mode === 'governance')
      const may = open && stored.holds.length === 0
      await print(
        options.json ? toJson({ ...stored, wouldGo: may }, 2) : `${may ? 'would go' : 'is kept'}: ${lineOf(stored)}`,
      )
    })
    return
  }
  if (!options.yes) throw usage('there is no way back: add --yes, or --dry-run to see what would go')
  await withWorm(options, 'write', async (archive) => {
    const tombstone = await archive.dispose(refOf(name, options), {
      reason: options.reason,
      ...(options.bypassGovernance ? { bypassGovernance: true } : {}),
    })
    const { version, leaf, seq } = tombstone
    await print(
      options.json
        ? toJson(tombstone, 2)
        : `${printable(name)}  ${version}  disposed of in record ${seq}, leaf ${leaf}`,
    )
  })
}

/** Under compliance that is what witnesses have signed, and without any nothing goes, ever. */
function timeThatCounts({ chain }: Worm, { mode, version }: Stored): number {
  if (mode !== 'compliance') return chain.now
  const { witnesses } = chain.retention(version)
  return witnesses ? Math.min(chain.now, witnesses.provenAt) : Number.NEGATIVE_INFINITY
}

export async function eraseCommand(subject: string, options: WormOptions & { readonly yes?: boolean }): Promise<void> {
  if (!options.yes) throw usage('there is no way back: add --yes')
  await withWorm(options, 'write', async (archive) => {
    const erased = await archive.erase(subject)
    if (options.json) {
      await print(toJson(erased, 2))
      return
    }
    await print(`${erased.shredded} erased`)
    for (const { name, version, retainUntil, holds } of erased.blocked) {
      const until = retainUntil === undefined ? '' : ` until ${timeText(retainUntil.getTime())}`
      const held = holds.length === 0 ? '' : ` held by ${holds.map(printable).join(', ')}`
      await print(`kept by law${until}${held}: ${printable(name)}  ${version}`)
    }
  })
}

function reasonOf({ reason }: ReasonOptions): { readonly reason?: string } {
  return reason === undefined ? {} : { reason }
}
