/** Little enough to be parsed in some milliseconds: the host does nothing else meanwhile. */
export const MAX_FRAME_BYTES = 4 * 1024 * 1024
/** Characters of a longer text that go into one frame: at six bytes each at most. */
const PART_CHARS = 256 * 1024
const HIGH_SURROGATE = /[\ud800-\udbff]/
/** Over the largest file in base64, so that every write that a workspace would take fits. */
export const MAX_CALL_CHARS = 24 * 1024 * 1024

/** A text cut into what fits into frames: all but the last go ahead of the frame that it belongs to. */
export function cutText(text: string): { ahead: string[]; last: string } {
  const ahead: string[] = []
  let at = 0
  while (text.length - at > PART_CHARS) {
    // Never between the halves of a character, and base64 always between its groups of four.
    const to = at + PART_CHARS - (HIGH_SURROGATE.test(text.charAt(at + PART_CHARS - 1)) ? 1 : 0)
    ahead.push(text.slice(at, to))
    at = to
  }
  return { ahead, last: text.slice(at) }
}

/** A frame is its length as four bytes, big-endian, and that many bytes of JSON. */
export function encodeFrame(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message))
  const head = Buffer.alloc(4)
  head.writeUInt32BE(body.length)
  return Buffer.concat([head, body])
}

/**
 * Cuts a stream into frames. Throws `RangeError` as soon as a frame says that it is longer than `maxBytes`, before
 * any of it is kept, so that a sender cannot make the reader hold more than that.
 */
export function frameReader(maxBytes: number, onFrame: (json: string) => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = []
  let held = 0
  let length: number | undefined

  function take(bytes: number): Buffer {
    const [only = Buffer.alloc(0), ...more] = chunks
    // Many small frames come in one piece, which is not copied for each.
    const all = more.length === 0 ? only : Buffer.concat(chunks)
    chunks = [all.subarray(bytes)]
    held -= bytes
    return all.subarray(0, bytes)
  }

  return function read(chunk) {
    chunks.push(chunk)
    held += chunk.length
    for (;;) {
      if (length === undefined) {
        if (held < 4) return
        length = take(4).readUInt32BE()
        if (length > maxBytes)
          throw new RangeError(`A frame of ${length} bytes is over the limit of ${maxBytes}`)
      }
      if (held < length) return
      const body = take(length)
      length = undefined
      onFrame(body.toString())
    }
  }
}
