import { z } from 'zod'
import { WORKSPACES } from '../runtime/workspaces.ts'
import { defineTool } from './define.ts'
import { forModel } from './workspace-errors.ts'

export const readFile = defineTool({
  name: 'read_file',
  description:
    'Reads a piece of a file of this conversation: as text where it is UTF-8, in base64 otherwise. Offsets and limits ' +
    'are in bytes; pass next_offset as the next offset until it is null. It reads no files outside of this ' +
    'conversation and does not understand formats such as PDF or XLSX.',
  schema: z.object({
    path: z.string().min(1).max(1024).describe('Relative, such as "reports/2026.csv".'),
    offset: z
      .int()
      .min(0)
      .max(2 ** 40)
      .optional()
      .describe('The first byte to read; 0 by default.'),
    // At least the longest UTF-8 sequence, or a reader could stand still.
    limit: z.int().min(4).max(65_536).optional().describe('Bytes to read at most; 16384 by default.'),
  }),
  risk: 'low',
  effect: 'none',
  // The largest piece in base64, and the fields around it.
  outputLimit: 90_000,

  async run({ path, offset = 0, limit = 16_384 }, call) {
    const { bytes, size } = await forModel(
      call.service(WORKSPACES).read(call.threadId, path, { offset, limit }),
    )
    const piece = decodePiece(Buffer.from(bytes), offset + bytes.length < size)
    const end = offset + piece.bytes
    return {
      path,
      encoding: piece.encoding,
      content: piece.content,
      size,
      next_offset: end < size ? end : null,
    }
  },
})

/**
 * A piece as text without a character cut in two. One that began before the piece is left out; one that goes on
 * after it is left for the next. NUL makes it binary, because no text column takes it.
 */
export function decodePiece(piece: Buffer, more: boolean) {
  const text = piece.subarray(leadingRest(piece), more ? completeLength(piece) : piece.length)
  try {
    const content = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text)
    if (!content.includes('\0'))
      return { encoding: 'utf8' as const, content, bytes: text.byteOffset - piece.byteOffset + text.length }
  } catch {
    // Not UTF-8.
  }
  return { encoding: 'base64' as const, content: piece.toString('base64'), bytes: piece.length }
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0b1100_0000) === 0b1000_0000
}

function leadingRest(piece: Buffer): number {
  let at = 0
  while (at < 3 && isContinuation(piece[at])) at++
  return at
}

/** Bytes up to the start of a sequence that the end of the piece cuts. */
function completeLength(piece: Buffer): number {
  for (let back = 1; back <= 3 && back <= piece.length; back++) {
    const byte = piece[piece.length - back] ?? 0
    if (isContinuation(byte)) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return length > back ? piece.length - back : piece.length
  }
  return piece.length
}
