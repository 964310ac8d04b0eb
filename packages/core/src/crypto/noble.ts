/** The crypto provider that runs everywhere, whole. */
import { nobleArgon2id } from './noble-argon2.ts'
import { nobleBase } from './noble-base.ts'

export const nobleProvider: typeof nobleBase & { readonly argon2id: typeof nobleArgon2id } = {
  ...nobleBase,
  argon2id: nobleArgon2id,
}
