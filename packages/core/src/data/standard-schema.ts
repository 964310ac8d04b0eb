/** The types of Standard Schema 1 (standardschema.dev), copied so that no package is needed for them. */

export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
      }[]
    }

export type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

export type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']
