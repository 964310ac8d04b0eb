/** Which options there are: a misspelt `retain`, `hold` or `mode` is refused, not passed over. */
import { type OptionNames, objectOf } from '@ate/core'
import type { AuditQuery } from './audit.ts'
import type { CallOptions, WriteOptions } from './context.ts'
import type { DisposeOptions } from './dispose.ts'
import type { ExportOptions } from './export.ts'
import type { FsckOptions } from './fsck.ts'
import type { GetOptions } from './get.ts'
import type { ListQuery } from './objects.ts'
import type { ProveOptions } from './proofs.ts'
import type { PutOptions } from './put.ts'
import type { ExtendOptions } from './retention.ts'
import type { WormOptions } from './worm.ts'
import type { Keep } from './worm-rules.ts'

const call: OptionNames<CallOptions> = { signal: true }
const write: OptionNames<WriteOptions> = { ...call, tx: true }
const keep: OptionNames<Keep> = { mode: true, retain: true, hold: true, subject: true }

const NAMES: {
  readonly archive: OptionNames<WormOptions>
  readonly defaults: OptionNames<Keep>
  readonly witnesses: OptionNames<WormOptions['witnesses']>
  readonly call: OptionNames<CallOptions>
  readonly put: OptionNames<PutOptions>
  readonly get: OptionNames<GetOptions>
  readonly list: OptionNames<ListQuery>
  readonly extend: OptionNames<ExtendOptions>
  readonly hold: OptionNames<WriteOptions & { readonly reason?: string }>
  readonly dispose: OptionNames<DisposeOptions>
  readonly prove: OptionNames<ProveOptions>
  readonly audit: OptionNames<AuditQuery>
  readonly export: OptionNames<ExportOptions>
  readonly fsck: OptionNames<FsckOptions>
  readonly drop: OptionNames<CallOptions & { readonly before: number }>
} = {
  archive: { name: true, defaults: true, witnesses: true },
  defaults: keep,
  witnesses: { keys: true, quorum: true },
  call,
  put: { ...write, ...keep, type: true, meta: true, key: true },
  get: { ...call, range: true },
  list: { prefix: true, expiredBy: true, hold: true, subject: true },
  extend: { ...write, mode: true, reason: true },
  hold: { ...write, reason: true },
  dispose: { ...write, reason: true, bypassGovernance: true },
  prove: { ...call, witnesses: true },
  audit: { name: true, version: true, from: true },
  export: { ...call, format: true, proofs: true },
  fsck: { ...call, deep: true, prefix: true },
  drop: { ...call, before: true },
}

/** Of all calls of a kind. @throws AteError BAD_ARGUMENT */
export function checkNames(options: object | undefined, kind: keyof typeof NAMES): void {
  objectOf<object | undefined>(options, `the options of ${kind}`, NAMES[kind])
}
