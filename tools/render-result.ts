import { encode } from '../runtime/json.ts'
import type { ToolResult } from './invoke.ts'

/** Brackets that a model may take for the one of a delimiter, and slashes likewise. */
const OPENS = '<＜﹤‹«〈〈⟨⟪《ᐸ˂≺❮❬❰'
const SLASHES = String.raw`/／⁄∕⧸\\＼`
/** Between them and a name: what is not seen. */
const NOTHING = String.raw`[\s\p{DI}]*`
/** As the delimiters begin, in letters that look so. */
const DELIMITER = new RegExp(`[${OPENS}](?=${NOTHING}(?:[${SLASHES}]${NOTHING})*[tTｔＴтТτΤ𝐭𝑡𝒕𝗍𝘁𝘵𝙩𝚝])`, 'gu')

/**
 * The result as the model reads it: data between delimiters, with the tool that it is from. Nothing inside can close or
 * open them: `</` is written `<\/`, and a bracket before what could be their name as its number, which is the same JSON.
 */
export function renderResult(tool: string, result: ToolResult): string {
  const json = encode(result)
    .replaceAll('</', String.raw`<\/`)
    .replaceAll(DELIMITER, (bracket) => `\\u${bracket.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return `<tool_result tool="${tool.replaceAll(/[^\w-]/g, '_')}">\n${json}\n</tool_result>`
}
