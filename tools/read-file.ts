import { z } from 'zod'
import { WORKSPACES } from '../runtime/workspaces.ts'
import { decodePiece } from './decode-piece.ts'
import { defineTool } from './define.ts'
import { MAX_PIECE, readLines } from './read-lines.ts'
import { forModel } from './workspace-errors.ts'

export const readFile = defineTool({
  name: 'read_file',
  description:
    'Reads a piece of a file of this conversation: as text where it is UTF-8, in base64 otherwise. Offsets and limits ' +
    'are in bytes; pass next_offset as the next offset until it is null. With line it reads whole lines from there, at ' +
    'most as many as lines says and 64 KB; pass next_line as the next line. It reads no files outside of this ' +
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
    limit: z.int().min(4).max(MAX_PIECE).optional().describe('Bytes to read at most; 16384 by default.'),
    line: z
      .int()
      .min(1)
      .max(2 ** 40)
      .optional()
      .describe('The first line to read, counted from 1, in the place of offset.'),
    lines: z.int().min(1).max(2_000).optional().describe('Lines to read at most; 200 by default.'),
  }),
  risk: 'low',
  effect: 'none',
  // The largest piece in base64, and the fields around it.
  outputLimit: 90_000,

  async run({ path, offset = 0, limit = 16_384, line, lines = 200 }, call) {
    if (line !== undefined) {
      const read = (at: number, limit: number) =>
        call.service(WORKSPACES).read(call.threadId, path, { offset: at, limit })
      return { path, ...(await forModel(readLines(read, line, lines))) }
    }
    const { bytes, size } = await forModel(
      call.service(WORKSPACES).read(call.threadId, path, { offset, limit }),
    )
    const piece = decodePiece(Buffer.from(bytes), { before: offset > 0, after: offset + bytes.length < size })
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
