/**
 * Guards found mechanically in a source text, each as a mutant: the text with that guard taken out. All mutants of a file
 * stand in one instrumented text, each behind a switch `__ateMutant(id)`, so that nothing is compiled again between
 * two of them. What is mutated:
 *
 *     guard      the condition of an `if` whose body leaves (throw, return, continue, break): never true
 *     operand    one operand of an `&&` or `||`: left out
 *     boundary   `<` becomes `<=`, `>` becomes `>=`, and back, except in the heads of loops
 *     answer     a `return` (or arrow) of a comparison or of `&&`, `||`, `!`: always true, always false
 *     choice     `condition ? a : b` where one of them is a literal or undefined: always the other
 *     call       a statement that calls what checks, refuses, syncs or cuts: left out
 */
import ts from 'typescript'

export interface Mutant {
  readonly kind: 'guard' | 'operand' | 'boundary' | 'answer' | 'choice' | 'call'
  /** Line of the source, from 1. */
  readonly line: number
  /** What is mutated, on one line, and what becomes of it. */
  readonly code: string
  readonly change: string
}

/** Statements of these are guards, or steps whose order or presence is a promise. */
const CALLS =
  /^(check|require|verify|refuse|demand|fence|must|throwIf|poison|remove|cut|settle|destroy|overwrite|finish|undo|make|write|sync|truncate|wipe|fill|readCount|limit)/i
const FLIPPED: ReadonlyMap<ts.SyntaxKind, string> = new Map([
  [ts.SyntaxKind.LessThanToken, '<='],
  [ts.SyntaxKind.LessThanEqualsToken, '<'],
  [ts.SyntaxKind.GreaterThanToken, '>='],
  [ts.SyntaxKind.GreaterThanEqualsToken, '>'],
])
const EQUALITIES: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.EqualsEqualsEqualsToken,
  ts.SyntaxKind.ExclamationEqualsEqualsToken,
])

/** The mutants of `text`, numbered from `first`, and the text that holds all of them. */
export function instrument(
  file: string,
  text: string,
  first: number,
): { readonly mutants: readonly Mutant[]; readonly text: string } {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true)
  const mutants: Mutant[] = []
  const add = (node: ts.Node, kind: Mutant['kind'], change: string): string => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
    mutants.push({ kind, line: line + 1, code: oneLine(node.getText(source)), change })
    return `globalThis.__ateMutant(${first + mutants.length - 1})`
  }
  return { text: render(source, { text, source, add }), mutants }
}

interface Work {
  readonly text: string
  readonly source: ts.SourceFile
  /** Notes a mutant and gives the switch for it. */
  readonly add: (node: ts.Node, kind: Mutant['kind'], change: string) => string
}

/** The text of `node`, leading comments included, with what is mutated in its children. */
function render(node: ts.Node, work: Work): string {
  let at = node.getFullStart()
  let out = ''
  ts.forEachChild(node, (child) => {
    out += work.text.slice(at, child.getStart(work.source)) + mutated(child, work)
    at = child.getEnd()
  })
  return out + work.text.slice(at, node.getEnd())
}

/** The same without what stands before the node. */
function inner(node: ts.Node, work: Work): string {
  return render(node, work).slice(node.getStart(work.source) - node.getFullStart())
}

function mutated(node: ts.Node, work: Work): string {
  if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node))
    return inner(node, work)
  if (ts.isBinaryExpression(node)) return binary(node, work)
  if (ts.isConditionalExpression(node)) return choice(node, work)
  if (ts.isExpressionStatement(node) && isGuardCall(node.expression, work)) {
    return `{ if (!${work.add(node, 'call', 'left out')}) ${inner(node, work)} }`
  }
  const whole = inner(node, work)
  const { parent } = node
  if (ts.isIfStatement(parent) && parent.expression === node && leaves(parent.thenStatement)) {
    return `!${work.add(node, 'guard', 'never')} && (${whole})`
  }
  return isAnswer(node) ? answered(node, whole, work) : whole
}

/** The condition of an if, or the value of a return, may be an operation itself. */
function wrapped(node: ts.Expression, whole: string, work: Work): string {
  const { parent } = node
  if (ts.isIfStatement(parent) && parent.expression === node && leaves(parent.thenStatement)) {
    return `!${work.add(node, 'guard', 'never')} && (${whole})`
  }
  return isAnswer(node) ? answered(node, whole, work) : whole
}

function answered(node: ts.Node, whole: string, work: Work): string {
  const always = work.add(node, 'answer', 'true')
  return `(${always} ? true : ${work.add(node, 'answer', 'false')} ? false : ${whole})`
}

function binary(node: ts.BinaryExpression, work: Work): string {
  const kind = node.operatorToken.kind
  if (kind === ts.SyntaxKind.AmpersandAmpersandToken || kind === ts.SyntaxKind.BarBarToken) {
    const operator = node.operatorToken.getText(work.source)
    const whole = `(${operand(node.left, kind, work)} ${operator} ${operand(node.right, kind, work)})`
    return wrapped(node, whole, work)
  }
  const whole = inner(node, work)
  const flipped = FLIPPED.get(kind)
  if (flipped === undefined || isLoopHead(node)) return wrapped(node, whole, work)
  const mutant = `${node.left.getText(work.source)} ${flipped} ${node.right.getText(work.source)}`
  const change = oneLine(mutant)
  return wrapped(node, `(${work.add(node, 'boundary', change)} ? ${mutant} : ${whole})`, work)
}

function operand(node: ts.Expression, kind: ts.SyntaxKind, work: Work): string {
  // A chain of the same operator is one list of operands; a parenthesis around another operation is its own list.
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === kind) return binary(node, work)
  const whole = mutated(node, work)
  if (isNarrowing(node)) return `(${whole})`
  const off = work.add(node, 'operand', kind === ts.SyntaxKind.BarBarToken ? 'left out of ||' : 'left out of &&')
  return kind === ts.SyntaxKind.BarBarToken ? `(!${off} && (${whole}))` : `(${off} || (${whole}))`
}

/** `x` of `x && x.size > 1`, or `x !== undefined`: what the compiler would miss needs no test. */
function isNarrowing(node: ts.Expression): boolean {
  const isCompared =
    ts.isBinaryExpression(node) &&
    node.operatorToken.kind === ts.SyntaxKind.ExclamationEqualsEqualsToken &&
    node.right.getText() === 'undefined'
  const name = isCompared ? node.left : node
  if (!ts.isIdentifier(name)) return false
  let top: ts.Node = node
  while (
    ts.isBinaryExpression(top.parent) ||
    ts.isParenthesizedExpression(top.parent) ||
    (ts.isConditionalExpression(top.parent) && top.parent.condition === top)
  ) {
    top = top.parent
  }
  return top.getText().split(new RegExp(`\\b${name.text}\\b`)).length > 2
}

function mentions(node: ts.Node, name: ts.Identifier): boolean {
  return new RegExp(`\\b${name.text}\\b`).test(node.getText())
}

function choice(node: ts.ConditionalExpression, work: Work): string {
  const [a, b] = [isPlain(node.whenTrue), isPlain(node.whenFalse)]
  const whole = `${mutated(node.condition, work)} ? ${mutated(node.whenTrue, work)} : ${mutated(node.whenFalse, work)}`
  if (a === b) return `(${whole})`
  if (ts.isIdentifier(node.condition) && mentions(a ? node.whenFalse : node.whenTrue, node.condition))
    return `(${whole})`
  const other = (a ? node.whenFalse : node.whenTrue).getText(work.source)
  return `(${work.add(node, 'choice', oneLine(other))} ? ${other} : ${whole})`
}

/** What a refusal looks like: undefined, true, false, null, a text, a number, an empty list. */
function isPlain(node: ts.Expression): boolean {
  if (ts.isIdentifier(node)) return node.text === 'undefined'
  if (ts.isArrayLiteralExpression(node)) return node.elements.length === 0
  return (
    ts.isStringLiteral(node) ||
    node.kind === ts.SyntaxKind.TrueKeyword ||
    node.kind === ts.SyntaxKind.FalseKeyword ||
    node.kind === ts.SyntaxKind.NullKeyword
  )
}

function leaves(body: ts.Statement): boolean {
  const last = ts.isBlock(body) ? body.statements.at(-1) : body
  if (last === undefined) return false
  return ts.isThrowStatement(last) || ts.isReturnStatement(last) || ts.isBreakOrContinueStatement(last)
}

function isAnswer(node: ts.Node): boolean {
  const { parent } = node
  const isGiven =
    (ts.isReturnStatement(parent) && parent.expression === node) || (ts.isArrowFunction(parent) && parent.body === node)
  if (!isGiven) return false
  if (ts.isPrefixUnaryExpression(node)) return node.operator === ts.SyntaxKind.ExclamationToken
  if (!ts.isBinaryExpression(node)) return false
  const { kind } = node.operatorToken
  return (
    kind === ts.SyntaxKind.AmpersandAmpersandToken ||
    kind === ts.SyntaxKind.BarBarToken ||
    EQUALITIES.has(kind) ||
    FLIPPED.has(kind)
  )
}

function isLoopHead(node: ts.Node): boolean {
  const { parent } = node
  if (ts.isForStatement(parent)) return parent.condition === node
  if (ts.isWhileStatement(parent) || ts.isDoStatement(parent)) return parent.expression === node
  return ts.isBinaryExpression(parent) && isLoopHead(parent)
}

function isGuardCall(expression: ts.Expression, work: Work): boolean {
  const call = ts.isAwaitExpression(expression) ? expression.expression : expression
  if (!ts.isCallExpression(call)) return false
  const name = ts.isPropertyAccessExpression(call.expression) ? call.expression.name : call.expression
  return CALLS.test(name.getText(work.source).replace(/^#/, ''))
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}
