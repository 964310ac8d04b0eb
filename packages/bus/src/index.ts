/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/bus: typed topics on a chain. The public names, listed by hand. */
export { AteError, createIdentity, isAteError, openChain, openIdentity } from '@ate/core'
export { type Bus, type BusOptions, bus } from './bus.ts'
