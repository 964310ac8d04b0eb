/** Lists of secrets, and who may do what with them. */
import type { CallOptions, Context } from './context.ts'
import { infoOf, type SecretInfo } from './secret-info.ts'
import { IN, SecretType } from './vault-records.ts'
import { selects, zonesOf } from './vault-rules.ts'

export async function* listSecrets(
  context: Context,
  prefix: string | undefined,
  { signal }: CallOptions,
): AsyncGenerator<SecretInfo, void, void> {
  const isWanted = selects(prefix)
  const layout = await context.layout(signal)
  const found = new Map<string, { readonly info: SecretInfo; readonly rank: number }>()
  for (const zone of layout?.zones ?? []) {
    for await (const { value } of context.chain.children(SecretType, zone.names, IN.secrets)) {
      signal?.throwIfAborted()
      if (!isWanted(value.path)) continue
      // While a secret moves into a narrower zone, or where two made it at once, the narrower one counts.
      const rank =
        layout!.zones.length === 1 ? 0 : zonesOf(layout!.zones, value.path).findIndex(({ id }) => id === zone.id)
      const known = found.get(value.path)
      if (rank >= 0 && (!known || rank < known.rank)) found.set(value.path, { info: infoOf(context, value), rank })
    }
  }
  const paths = [...found.keys()].sort()
  for (const path of paths) yield found.get(path)!.info
}
