/** `#large` of platforms without threads, and of pages, which stay small: every body goes the way of small ones. */
import type * as large from './large-bodies.ts'

const nothing = (): undefined => undefined

export const keepPrint: typeof large.keepPrint = nothing
export const printOf: typeof large.printOf = nothing
export const notePrint: typeof large.notePrint = nothing
export const holdRecord: typeof large.holdRecord = nothing
export const roomFor: typeof large.roomFor = nothing
export const openBeside: typeof large.openBeside = nothing
export const hashBodies: typeof large.hashBodies = nothing
export const leave: typeof large.leave = nothing
export const lend: typeof large.lend = nothing
export const takeBack: typeof large.takeBack = nothing
export const sealAhead: typeof large.sealAhead = nothing
export const sealEarly: typeof large.sealEarly = nothing
export const release: typeof large.release = nothing
