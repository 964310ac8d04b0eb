/**
 * Loads a peer's package from this folder. The name is a variable so that the type check does not need the packages:
 * they are installed only when the bench runs. Each peer declares the few members that it calls.
 */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

export async function load<Module>(name: string): Promise<Module> {
  return (await import(name)) as Module
}

export function loadCommonJs<Module>(name: string): Module {
  return require(name) as Module
}

/** The key of the entity at `index`: 26 characters in the order of creation, the kindest case for a tree on disk. */
export function keyOf(index: number): string {
  return `01JD${1_000_000_000_000 + index}ABCDEFGHJ`
}
