/**
 * Numbers of the record format, version 1. docs/FORMAT.md draws every structure byte by byte.
 *
 * record  = seq u64 | prev 32 | admittedAt u64 | sequencer 32 | kind u8 | payload
 * commit  = format u8 | suite u8 | writer 32 | writerSeq u64 | base seq u64 | base hash 32 | at u64 | root 32 | sig 64
 *           | certificate length u32 | clear length u32 | certificate | clear part | sealed blocks
 */

export const FORMAT = 1
/** Suite 1: SHA-256, AES-256-GCM, Ed25519 sessions under MLDSA65-Ed25519 identities, X-Wing. */
export const SUITE = 1
/**
 * The rules this software knows; a chain of a higher level is not opened. New chains begin with it, older ones stay at
 * theirs until the root raises it. Level 2 knows persons with several keys, and records of kind recover. Level 3 knows
 * guards on chain time, and lets only who may write a unit make counters of it that may go below 0. Level 4 knows locks.
 */
export const FOLD_LEVEL = 4
/** The first level whose rules know persons with several keys. */
export const PERSONS_LEVEL = 2
/** The first level that judges guards on time, and who owes in a unit. */
export const TIME_AND_DEBT_LEVEL = 3
/** The first level that knows what is written once, and witnesses whose time counts. */
export const LOCKS_LEVEL = 4

export const KIND = { genesis: 1, commit: 2, attestation: 3, checkpoint: 4, sweep: 5, recover: 6 } as const
export type Kind = (typeof KIND)[keyof typeof KIND]

export const RECORD_HEAD_BYTES = 81
/** Offsets within a record of kind commit. */
export const COMMIT = {
  format: 81,
  suite: 82,
  writer: 83,
  writerSeq: 115,
  baseSeq: 123,
  baseHash: 131,
  at: 163,
  root: 171,
  sig: 203,
  certificateLength: 267,
  clearLength: 271,
  certificate: 275,
} as const

/** What an event does. The numbers are the format. */
export const OP = {
  create: 1,
  put: 2,
  delete: 3,
  move: 4,
  policy: 5,
  epoch: 6,
  add: 7,
  forget: 8,
  retain: 9,
  role: 10,
  root: 11,
  expire: 12,
  endCertificate: 13,
  person: 14,
} as const
export type Op = (typeof OP)[keyof typeof OP]
export const OP_MAX = 14

/** Bits of an event header's second byte. */
export const FLAG = { body: 1, named: 2, rare: 4 } as const

export const GUARD = { version: 1, members: 2, subtree: 3, expired: 4, before: 5, notBefore: 6 } as const
export type GuardKind = (typeof GUARD)[keyof typeof GUARD]

/** Event headers are hashed in runs of this many: one leaf of the transaction's tree. See docs/decisions/0002. */
export const EVENTS_PER_LEAF = 16

/** Modes of a sealed block. */
export const BLOCK_MODE = { epoch: 0, public: 1 } as const
