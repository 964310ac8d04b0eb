/** `export` and `inject`: secrets as text of other programs. */
import { AteError } from '@ate/core'
import { dialectOf, exportText } from './escape.ts'
import { readInput, textOf } from './input.ts'
import { type VaultOptions, withVault } from './open.ts'
import { writeSecret } from './output.ts'
import { resolveReference, type VariableOptions, variablesFor } from './variables.ts'

export interface ExportOptions extends VaultOptions, Omit<VariableOptions, 'path'> {
  readonly format: string
  readonly out?: string
}

export async function exportSecrets(path: string | undefined, options: ExportOptions): Promise<void> {
  const dialect = dialectOf(options.format)
  const { only, prefix } = options
  const text = await withVault(options, 'read', async (vault) => {
    const chosen = { ...(path === undefined ? {} : { path }), ...(only ? { only } : {}), ...(prefix ? { prefix } : {}) }
    return exportText(await variablesFor(vault, chosen), dialect)
  })
  await writeSecret(text, options.out)
}

/** References of one template: bounds what a file from elsewhere can ask for. */
const REFERENCES_MAX = 1000
const REFERENCE = /\{\{\s*(ate:\/\/[^{}\n]+?)\s*\}\}/g

/** `{{ ate://path#field }}` in a template is replaced by the value, as it is: what the format around it needs is up to the template. */
export async function inject(template: string, options: VaultOptions & { readonly out?: string }): Promise<void> {
  const text = textOf(await readInput(template))
  const references = [...new Set([...text.matchAll(REFERENCE)].map((match) => match[1]!))]
  if (references.length > REFERENCES_MAX)
    throw new AteError('BAD_ARGUMENT', { references: references.length, max: REFERENCES_MAX })
  const values = await withVault(options, 'read', async (vault) => {
    const found = new Map<string, string>()
    for (const reference of references) found.set(reference, await resolveReference(vault, reference))
    return found
  })
  // A function: in a replacement text `$&` would mean something.
  await writeSecret(
    text.replace(REFERENCE, (_, reference: string) => values.get(reference)!),
    options.out,
  )
}
