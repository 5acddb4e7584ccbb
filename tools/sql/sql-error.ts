import { DatabaseError } from 'pg'
import { ToolError, type ToolErrorCode } from '../define.ts'

/** By the class of SQLSTATE, or the state itself: what the model can do better, and what it may not. */
const CODES: Record<string, [ToolErrorCode, string]> = {
  '57014': ['TIMEOUT', 'The statement took too long. Ask for less, or by an index.'],
  '55P03': ['TIMEOUT', 'Somebody else has the rows locked. Try again later.'],
  '25006': ['DENIED', 'The statement would change something, and this tool only reads.'],
  '42501': ['DENIED', 'The role of this tool is not allowed to do that.'],
  '53': ['INTERNAL', 'The database has no room for that.'],
  '54': ['INVALID_ARGS', 'The statement is too large or too deeply nested.'],
}
/** Where the server's own words say what is wrong with the statement, its values or the rows that it would make. */
const TOLD = new Set(['21', '22', '23', '42', '0A', '2F', '44', 'P0'])

/** A server's error in words for the model: its own where they are about the statement, else ours. */
export function explainSql(error: unknown): unknown {
  if (!(error instanceof DatabaseError) || error.code === undefined) return error
  const { code } = error
  const [known, words] = CODES[code] ?? CODES[code.slice(0, 2)] ?? []
  if (known !== undefined && words !== undefined) return new ToolError(known, words, { cause: error })
  if (!TOLD.has(code.slice(0, 2)))
    return new ToolError('INTERNAL', `The database failed (${code}).`, { cause: error })
  const hint = error.hint === undefined ? '' : ` ${error.hint}`
  return new ToolError('INVALID_ARGS', `${error.message}.${hint}`.replace(/\.\.$/, '.'), { cause: error })
}
