/** Which options there are: a misspelt `until`, `cas` or `expires` is refused, not passed over. */
import { type OptionNames, objectOf } from '@ate/core'
import type { AgentOptions } from './agent.ts'
import type { AuditOptions } from './audit.ts'
import type { CallOptions, WriteOptions } from './context.ts'
import type { EnvOptions } from './env.ts'
import type { LeaseOptions } from './leases.ts'
import type { PickOptions, PutOptions } from './secret.ts'
import type { RotateOptions, TransitOptions } from './transit.ts'
import type { VaultOptions } from './vault.ts'

const call: OptionNames<CallOptions> = { signal: true }
const write: OptionNames<WriteOptions> = { ...call, tx: true }

const NAMES: {
  readonly vault: OptionNames<VaultOptions>
  readonly call: OptionNames<CallOptions>
  readonly write: OptionNames<WriteOptions>
  readonly put: OptionNames<PutOptions>
  readonly patch: OptionNames<Omit<PutOptions, 'cas'>>
  readonly pick: OptionNames<PickOptions>
  readonly member: OptionNames<WriteOptions & { readonly until?: Date }>
  readonly token: OptionNames<WriteOptions & { readonly ttl: unknown }>
  readonly lease: OptionNames<LeaseOptions>
  readonly transit: OptionNames<TransitOptions>
  readonly rotate: OptionNames<RotateOptions>
  readonly agent: OptionNames<AgentOptions>
  readonly audit: OptionNames<AuditOptions>
  readonly env: OptionNames<EnvOptions>
} = {
  vault: { name: true, audit: true },
  call,
  write,
  put: { ...write, cas: true, expires: true, meta: true },
  patch: { ...write, expires: true, meta: true },
  pick: { ...call, version: true, at: true },
  member: { ...write, until: true },
  token: { ...write, ttl: true },
  lease: { ...call, ttl: true, max: true },
  transit: { ...call, context: true },
  rotate: { ...write, minDecrypt: true },
  agent: { ...call, rotate: true, issuers: true, tidy: true, every: true },
  audit: { ...call, from: true, path: true },
  env: { ...call, at: true },
}

/** Of all calls of a kind. @throws AteError BAD_ARGUMENT */
export function checkNames(options: object | undefined, kind: keyof typeof NAMES): void {
  objectOf<object | undefined>(options, `the options of ${kind}`, NAMES[kind])
}
