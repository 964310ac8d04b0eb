/** `#text-part` of pages: they read texts with their decoder. */
export const textPart: typeof import('./text-part.ts').textPart = undefined
