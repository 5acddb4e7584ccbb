/** Over the largest file with its JSON escapes, so that every write a workspace would take fits. */
export const MAX_FRAME_BYTES = 36 * 1024 * 1024

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
    const all = Buffer.concat(chunks)
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
