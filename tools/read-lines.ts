import { RuntimeError } from '../runtime/errors.ts'
import { textOf } from './file-text.ts'

/** Bytes that one call reads at most. */
export const MAX_PIECE = 65_536
/** Bytes that are looked through at a time for the first line. */
const STEP = 256 * 1024
const NEWLINE = 10

type Read = (offset: number, limit: number) => Promise<{ bytes: Uint8Array; size: number }>

/**
 * Whole lines from the `first`, counted from 1, with their line breaks; of a line that is longer than a piece, its
 * beginning. `next_line` is `null` at the end, `next_offset` where the rest of a cut line begins.
 */
export async function readLines(read: Read, first: number, count: number) {
  const { offset, size } = await startOf(read, first)
  const piece = Buffer.from((await read(offset, MAX_PIECE)).bytes)
  let lines = 0
  let end = 0
  while (lines < count && end < piece.length) {
    const at = piece.indexOf(NEWLINE, end)
    // The last line of the file has no break; one that the piece cuts is left for the next.
    if (at < 0 && offset + piece.length < size) break
    end = at < 0 ? piece.length : at + 1
    lines++
  }
  const cutLine = lines === 0 && piece.length > 0
  if (cutLine) end = wholeCharacters(piece)
  const content = textOf(piece.subarray(0, end))
  if (content === undefined || content.includes('\0'))
    throw new RuntimeError('invalid_input', 'The file is no UTF-8 text. Read it by offset, without line.')
  const left = offset + end < size
  return {
    content,
    size,
    first_line: first,
    next_line: left ? first + Math.max(1, lines) : null,
    ...(cutLine && { next_offset: offset + end, cut: `Line ${first} goes on at offset ${offset + end}.` }),
  }
}

/** Where a line begins; the end of the file where there are not so many. */
async function startOf(read: Read, line: number): Promise<{ offset: number; size: number }> {
  let left = line - 1
  for (let offset = 0; ;) {
    const { bytes, size } = await read(offset, STEP)
    const piece = Buffer.from(bytes)
    let at = 0
    while (left > 0) {
      const found = piece.indexOf(NEWLINE, at)
      if (found < 0) break
      at = found + 1
      left--
    }
    if (left === 0) return { offset: offset + at, size }
    offset += piece.length
    if (piece.length === 0 || offset >= size) return { offset: size, size }
  }
}

/** Up to a character that the end of the piece cuts. */
function wholeCharacters(piece: Buffer): number {
  let end = piece.length
  while (end > piece.length - 4 && ((piece[end - 1] ?? 0) & 0b1100_0000) === 0b1000_0000) end--
  return end - 1
}
