/**
 * The TypeScript blocks of the documentation as programs: a block fenced with `ts` starts one, `ts continue` goes on with
 * the one before it in the same file, and `run` (also with continue) says that the whole program is to be run as well.
 */

export interface DocsProgram {
  /** Where its first block starts: file, and the line of its fence from 1. */
  readonly name: string
  /** The blocks, each on the very lines where it stands in the document, so that messages name those. */
  readonly text: string
  readonly run: boolean
}

export function programsOf(file: string, markdown: string): DocsProgram[] {
  const programs: { name: string; lines: string[]; run: boolean }[] = []
  let open: { lines: string[] } | undefined
  markdown.split('\n').forEach((line, index) => {
    const fence = /^```(.*)$/.exec(line)
    if (fence === null) {
      if (open !== undefined) open.lines[index] = line
    } else if (open !== undefined) {
      open = undefined
    } else {
      const [language, ...tags] = (fence[1] ?? '').trim().split(/\s+/)
      open = { lines: [] } // of a block that is not ours
      if (language !== 'ts') return
      const last = programs.at(-1)
      if (tags.includes('continue') && last === undefined) throw new Error(`${file}:${index + 1} continues nothing`)
      const program = tags.includes('continue') && last ? last : { name: `${file}:${index + 1}`, lines: [], run: false }
      if (program !== last) programs.push(program)
      program.run ||= tags.includes('run')
      open = program
    }
  })
  return programs.map(({ name, lines, run }) => ({
    name,
    run,
    text: `${Array.from(lines, (line) => line ?? '').join('\n')}\n`,
  }))
}
