/** Words that options take, apart from what they lead to. */

export type Dialect = 'shell' | 'docker' | 'node' | 'json'
export const DIALECTS: readonly Dialect[] = ['shell', 'docker', 'node', 'json']

export type Format = 'dotenv' | 'json' | 'yaml' | 'sops' | 'vault-kv'
export const FORMATS: readonly (Format | 'auto')[] = ['auto', 'dotenv', 'json', 'yaml', 'sops', 'vault-kv']

export type TransitVerb = 'rotate' | 'encrypt' | 'decrypt' | 'rewrap' | 'sign' | 'verify'
export const TRANSIT_VERBS: readonly TransitVerb[] = ['rotate', 'encrypt', 'decrypt', 'rewrap', 'sign', 'verify']
