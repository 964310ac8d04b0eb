/** What the vault refuses, and what to do then: docs/ERRORS.md is made from this table. */
import { AteError, type ErrorMaker, errorsOf } from '@ate/core'

export const ADVICE = {
  BAD_PATH: 'a path is segments between slashes, such as prod/db; the facts say what is wrong with this one',
  NO_VERSION: 'the secret has no such version; the facts name the newest',
  VERSION_DELETED: 'this version was deleted; restore it, or read another',
  VERSION_DESTROYED: 'this version was destroyed, and nobody can bring it back; read or write another',
  VERSION_EXPIRED: 'this version has expired; write a new one',
  VERSIONS_FULL: 'the secret remembers as many versions as it can; destroy old ones',
  SECRET_DISPOSED: 'the value was disposed of already; read the secret again',
  KEY_RETIRED: 'the transit key of that version is not used any more; ask for what was made with it again',
  BAD_TOKEN: 'this is no such token or signature, or a character of it is wrong',
  TOKEN_SPENT:
    'the token was used, or has expired; if it was not you who used it, what it held is known to somebody else',
  AUDIT_UNAVAILABLE:
    'reads are recorded only where a server stands between readers and keys; open the chain through one, or leave audit out',
  BAD_SHARE: 'this is no share, or a character of it is wrong',
  SHARES_MISMATCH: 'these shares do not make the identity: some are missing, or are of different sets',
} as const

export type VaultErrorCode = keyof typeof ADVICE

declare module '@ate/core' {
  interface KitErrors extends Record<VaultErrorCode, string> {}
}

export const vaultError: ErrorMaker<VaultErrorCode> = errorsOf(ADVICE)

/** Of a secret that is not there, or is none that this session may list: nobody can tell which. */
export function noSecret(path: string): AteError {
  return new AteError('NOT_FOUND', { path }, { hint: 'there is no secret at this path that this identity may list' })
}
