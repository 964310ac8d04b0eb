/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/vault: secrets on a chain. The public names, listed by hand. */
export { AteError, createIdentity, isAteError, openChain, openIdentity } from '@ate/core'
export type { CallOptions, WriteOptions } from './context.ts'
export type { Revealed } from './revealed.ts'
export type { Removed, Role, RoleMember } from './roles.ts'
export type { Destroyed, PutOptions, Secret, Version } from './secret.ts'
export type { SecretInfo } from './secret-info.ts'
export type { Json, SecretValue } from './value-bytes.ts'
export { type Vault, type VaultOptions, vault } from './vault.ts'
export type { Can, Kind } from './vault-records.ts'
export type { VersionState } from './vault-rules.ts'
