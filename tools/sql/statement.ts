import { type ParseResult, parse } from 'libpg-query'
import { ToolError } from '../define.ts'
import { SAFE_FUNCTIONS, SAFE_OPERATORS } from './safe-functions.ts'

export type StatementKind = 'select' | 'insert' | 'update' | 'delete'

export interface Name {
  schema: string | undefined
  name: string
}

/** One statement of harmless parts, and the names in it that only the database can resolve. */
export interface Statement {
  kind: StatementKind
  /** Without what follows it. */
  text: string
  /** What it changes. */
  target: Name | undefined
  /** It changes all rows of it. */
  everyRow: boolean
  relations: Name[]
  /** Common table expressions, which stand where tables do. */
  ctes: Set<string>
  functions: Name[]
  /** Written as fields, such as `b` in `a.b`: PostgreSQL takes them for functions, too. */
  fields: Set<string>
}

const KINDS: Record<string, StatementKind> = {
  SelectStmt: 'select',
  InsertStmt: 'insert',
  UpdateStmt: 'update',
  DeleteStmt: 'delete',
}

/** PostgreSQL's parse nodes that a statement may consist of. Those that change something stand at its top alone. */
const NODES = new Set(
  `SelectStmt ResTarget ColumnRef A_Star A_Const A_Expr A_ArrayExpr A_Indices A_Indirection String Integer Float Boolean
  BoolExpr NullTest BooleanTest FuncCall NamedArgExpr TypeCast TypeName CaseExpr CaseWhen CoalesceExpr MinMaxExpr SubLink
  RangeVar RangeSubselect RangeFunction ColumnDef JoinExpr Alias SortBy WindowDef CommonTableExpr RowExpr GroupingSet
  GroupingFunc SQLValueFunction List CollateClause SetToDefault MultiAssignRef IndexElem`.split(/\s+/),
)
/** Fields whose node has no name around it. */
const BARE = new Set(
  'larg rarg over alias typeName withClause relation onConflictClause infer join_using_alias ival fval sval boolval'.split(
    ' ',
  ),
)

type Fields = Record<string, unknown>

/** Reads it as PostgreSQL does. Throws `ToolError` where it is not one statement of known, harmless parts. */
export async function readStatement(text: string): Promise<Statement> {
  const { node, type, own } = await onlyStatement(text)
  const kind = KINDS[type]
  if (kind === undefined) throw refused(`${inWords(type)} is not a statement that this tool runs.`)
  const found: Statement = {
    kind,
    text: own,
    target: kind === 'select' ? undefined : nameOf(node['relation'] as Fields),
    everyRow: kind !== 'insert' && kind !== 'select' && node['whereClause'] === undefined,
    relations: [],
    ctes: new Set(),
    functions: [],
    fields: new Set(),
  }
  // Not by recursion: a text can be nested deeper than our stack.
  const open: [type: string, node: Fields][] = [[type, node]]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    note(found, ...next)
    open.push(...partsOf(next[1]))
  }
  return found
}

async function onlyStatement(text: string): Promise<{ type: string; node: Fields; own: string }> {
  let stmts: ParseResult['stmts']
  try {
    ;({ stmts } = await parse(text))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new ToolError('INVALID_ARGS', `This is no SQL: ${why}.`, { cause: error })
  }
  const [first, second] = stmts ?? []
  if (first?.stmt === undefined) throw new ToolError('INVALID_ARGS', 'There is no statement.')
  if (second !== undefined) throw refused('There is more than one statement. Send one at a time.')
  const [[type, node] = ['', {}]] = Object.entries(first.stmt)
  const bytes = Buffer.from(text)
  const begin = first.stmt_location ?? 0
  const end = first.stmt_len ? begin + first.stmt_len : bytes.length
  return { type, node: node as Fields, own: bytes.subarray(begin, end).toString() }
}

/** The nodes below. Throws where one is not known. */
function partsOf(node: Fields): [string, Fields][] {
  return Object.entries(node).flatMap(([key, value]) => {
    if (Array.isArray(value)) return value.flatMap((one) => (isFields(one) ? named(one) : []))
    if (!isFields(value)) return []
    if (isWrapped(value)) return named(value)
    if (!BARE.has(key)) throw refused(`"${inWords(key)}" is not part of a statement that this tool runs.`)
    return [[key === 'relation' ? 'RangeVar' : key, value]]
  })
}

function named(wrapper: Fields): [string, Fields][] {
  return Object.entries(wrapper).map(([type, node]) => {
    if (!NODES.has(type) || !isFields(node))
      throw refused(`${inWords(type)} is not part of a statement that this tool runs.`)
    return [type, node]
  })
}

function note(found: Statement, type: string, node: Fields): void {
  switch (type) {
    case 'RangeVar':
      found.relations.push(nameOf(node))
      break
    case 'CommonTableExpr':
      found.ctes.add(String(node['ctename']))
      break
    case 'FuncCall':
      found.functions.push(functionOf(node))
      break
    case 'ColumnRef':
      for (const name of textsOf(node['fields']).slice(1)) found.fields.add(name)
      break
    case 'A_Indirection':
      for (const name of textsOf(node['indirection'])) found.fields.add(name)
      break
    case 'A_Expr': {
      const name = textsOf(node['name'])
      if (name.length !== 1 || !SAFE_OPERATORS.has(name[0] ?? ''))
        throw refused(`The operator ${name.join('.')} is not one that this tool runs.`)
      break
    }
    case 'SQLValueFunction':
      if (!/TIME|DATE/.test(String(node['op']))) throw refused('Who and where the session is, is not told.')
      break
    case 'SortBy':
    case 'SubLink':
      for (const name of [...textsOf(node['useOp']), ...textsOf(node['operName'])])
        if (!SAFE_OPERATORS.has(name)) throw refused(`The operator ${name} is not one that this tool runs.`)
      break
  }
}

function nameOf({ catalogname, schemaname, relname }: Fields): Name {
  if (catalogname !== undefined) throw refused('A table of another database cannot be named.')
  return { schema: schemaname as string | undefined, name: String(relname) }
}

/** `pg_catalog.` is what the grammar itself writes, for `extract(…)` and such. */
function functionOf({ funcname }: Fields): Name {
  const parts = textsOf(funcname)
  const name = parts.at(-1) ?? ''
  const schema = parts.length > 1 ? parts.slice(0, -1).join('.') : undefined
  if (schema === 'pg_catalog' && !SAFE_FUNCTIONS.has(name))
    throw refused(`The function ${name} is not one that this tool runs.`)
  return { schema, name }
}

function textsOf(list: unknown): string[] {
  if (!Array.isArray(list)) return []
  return list.flatMap((one: { String?: { sval?: string } }) => (one.String ? [one.String.sval ?? ''] : []))
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}

function isWrapped(value: Fields): boolean {
  const keys = Object.keys(value)
  return keys.length === 1 && /^[A-Z]/.test(keys[0] ?? '')
}

/** `LockingClause`: "locking clause". */
function inWords(type: string): string {
  return type
    .replace(/Stmt$|Expr$/, '')
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
}

export function refused(message: string): ToolError {
  return new ToolError('DENIED', message)
}
