/**
 * A piece as text without a character cut in two. If there are bytes `before` it, a character that began there is
 * left out; if there are bytes `after` it, one that goes on there is left for the next piece. NUL makes it binary,
 * because no text column takes it.
 */
export function decodePiece(piece: Buffer, { before = false, after = false }) {
  const text = piece.subarray(before ? leadingRest(piece) : 0, after ? completeLength(piece) : piece.length)
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
