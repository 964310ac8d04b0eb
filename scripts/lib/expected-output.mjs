/**
 * The comment block at the end of an example that says what it prints: `// Output:`, then one comment a line, where
 * `<...>` stands for any text within the line.
 */
const MARK = '// Output:'

/**
 * What differs between the printed and the expected text, or undefined.
 * @param {string} printed
 * @param {string} source
 */
export function difference(printed, source) {
  const lines = source.trimEnd().split('\n')
  const mark = lines.lastIndexOf(MARK)
  if (mark < 0) return `the file has no block "${MARK}" at its end`
  const want = lines.slice(mark + 1).map((line) => line.replace(/^\/\/ ?/, ''))
  const got = printed.trimEnd().split('\n')
  for (let i = 0; i < Math.max(want.length, got.length); i++) {
    if (!lineMatches(got[i], want[i])) return `line ${i + 1} is ${quote(got[i])}, expected ${quote(want[i])}`
  }
  return undefined
}

/**
 * @param {string | undefined} got
 * @param {string | undefined} want
 */
function lineMatches(got, want) {
  if (got === undefined || want === undefined) return false
  const parts = want.trimEnd().split(/<[^<>]*>/)
  const pattern = parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.+')
  return new RegExp(`^${pattern}$`).test(got.trimEnd())
}

/** @param {string | undefined} line */
function quote(line) {
  return line === undefined ? 'missing' : JSON.stringify(line)
}
