/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/core: a signed, hash-linked, encrypted chain with a view in memory. The public names, listed by hand. */
export { isWellFormed } from './base/bytes.ts'
export { type Duration, durationMs } from './base/duration.ts'
export { errorText } from './base/error-text.ts'
export {
  AteError,
  type AteErrorOptions,
  type ErrorCode,
  type ErrorFacts,
  type ErrorMaker,
  errorsOf,
  isAteError,
  isChainClosed,
  type KitErrors,
} from './base/errors.ts'
export type { ChainId, EntityId, Fingerprint, PublicId } from './base/ids.ts'
export { type OptionNames, objectOf } from './base/option-names.ts'
export type { Conflict } from './chain/chain-core.ts'
export type { CompactOptions, CompactReport } from './chain/compaction.ts'
export type { CopyOptions } from './chain/copy-log.ts'
export { HOLDS } from './chain/fold-locks.ts'
export type {
  AlarmObservation,
  AppendObservation,
  AttestObservation,
  ConnectionObservation,
  FoldObservation,
  Observation,
  ObservationKind,
  Observer,
  OpenObservation,
  ReadObservation,
  RefusalObservation,
  RerunObservation,
  SealObservation,
  SyncObservation,
  VerifyObservation,
} from './chain/observation.ts'
export type { SnapshotInfo } from './chain/snapshots.ts'
export type { Receipt } from './chain/staged.ts'
export type { VerifyOptions, VerifyProblem, VerifyReport } from './chain/verify-log.ts'
export type { Witnessed } from './chain/witnessing.ts'
export type { AccessEntry, AccessInfo, Member, RoleInfo } from './data/access.ts'
export type { RecoverOptions, RecoverReceipt } from './data/append-recovery.ts'
export type {
  BackupOptions,
  BackupPlaceOptions,
  BackupReceipt,
  CopyReceipt,
  RestoreOptions,
} from './data/backup.ts'
export { type AttachedKeyOptions, type Chain, type CloseOptions, isChain } from './data/chain.ts'
export { addCosignatures, type CheckpointOptions } from './data/checkpoints.ts'
export type { Children, PageOptions } from './data/children.ts'
export type { CompactionState, CompactPolicy } from './data/compact-policy.ts'
export type { Comparison } from './data/compare-head.ts'
export {
  type Accompany,
  type Companion,
  type Created,
  type CreationPlace,
  Creations,
  type Making,
  mayBeOneOf,
} from './data/creations.ts'
export type { DestroyOptions } from './data/destroy.ts'
export type { DoctorOptions, DoctorReport } from './data/doctor.ts'
export type { Removal } from './data/draft-roles.ts'
export { type Effect, type Effects, effectsInto, isEffects, stageIn, type TxTarget } from './data/effects.ts'
export { type Entity, type EntityRef, type ForeignRef, foreignRef, parseForeignRef } from './data/entity.ts'
export type { CounterInfo, PolicyInfo, PolicyNames, RetentionInfo } from './data/entity-info.ts'
export { defineType, type EntityType, type IndexKey, type TypeOptions } from './data/entity-type.ts'
export type { ChainEvent, EntityChange, EventsOptions, OpName, WatchOptions } from './data/events.ts'
export {
  type Evidence,
  type StatementSigner,
  type VerifiedEvidence,
  type VerifyEvidenceOptions,
  verifyEvidence,
} from './data/evidence.ts'
export type { Finding, FindingCode, Severity } from './data/findings.ts'
export type { KnownPlace } from './data/known-places.ts'
export { backup, destroy, knownPlaces, push, restore, salvage, verifyPlace } from './data/on-demand.ts'
export type { OpenOptions, RemoteOptions } from './data/open-chain.ts'
export type { OpenTransaction } from './data/open-transaction.ts'
export type { PersonChange, PersonInfo, PersonRef } from './data/persons.ts'
export {
  type CounterInput,
  POLICY_NAMES,
  type PolicyInput,
  type Principal,
  type RoleName,
  role,
} from './data/policy-input.ts'
export {
  type ConsistencyProof,
  type Proof,
  type ProofTrust,
  type ProvenCheckpoint,
  proofText,
} from './data/proof-format.ts'
export type { CheckpointRef, Provable, ProveOptions } from './data/prove.ts'
export type { PushOptions } from './data/push.ts'
export type {
  ChainRecord,
  ClearValue,
  RecordEvent,
  RecordKind,
  RecordsOptions,
  RecordTransaction,
} from './data/records.ts'
export type { RecoverPlaceOptions } from './data/recover.ts'
export type { TransactOptions, WaitOptions } from './data/run-transaction.ts'
export type { SalvageOptions, SalvageReport } from './data/salvage.ts'
export { type Served, type ServiceOptions, service } from './data/service.ts'
export type { InvokeOptions } from './data/service-caller.ts'
export type { HandlerResult, ServiceCall, ServiceHandlers } from './data/service-handling.ts'
export { type InvokeArguments, invoke, type ServiceClient } from './data/service-invoke.ts'
export { type FoundOptions, foundService } from './data/service-place.ts'
export {
  defineService,
  type FromFunctions,
  type FromSchemas,
  isServiceError,
  type ProcedureSchemas,
  type ProcedureTypes,
  ServiceError,
  type ServiceType,
} from './data/service-type.ts'
export { type StandardSchema, validated } from './data/standard-schema.ts'
export type { ChainStats } from './data/stats.ts'
export type { SyncProgress } from './data/sync-progress.ts'
export type { Transaction } from './data/transaction.ts'
export type {
  ChainSettings,
  CreateOptions,
  DeleteOptions,
  ExpiryOptions,
  PlaceOptions,
  RetentionOptions,
} from './data/transaction-options.ts'
export type { ReadOptions } from './data/values.ts'
export type { PlaceReport, VerifyPlaceOptions } from './data/verify-place.ts'
export {
  type ProvenCommit,
  type ProvenConsistency,
  type ProvenEvent,
  type ProvenRecord,
  type VerifyProofOptions,
  verifyProof,
} from './data/verify-proof.ts'
export type { WriterInfo } from './data/writers.ts'
export type { Cosigned, Witnesses } from './event/cosignature.ts'
export type { Durability, LogEngine } from './log/engine.ts'
export type { BadPlace, GoodRun } from './log/file-salvage.ts'
export { type MemoryStore, memoryEngine, memoryStore } from './log/memory.ts'
export type { Standing, StandingState } from './log/standing.ts'
export { openChain } from './mesh/open-chain.ts'
export { recover } from './mesh/recover.ts'
export { type Consent, consentTo } from './session/consent-text.ts'
export type { Identity, PublicIdentity } from './session/identity.ts'
export {
  createIdentity,
  identityFromText,
  identityToText,
  machineIdentity,
  type OpenIdentityOptions,
  openIdentity,
  saveIdentity,
} from './session/local-identity.ts'
