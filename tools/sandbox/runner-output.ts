import { writeSync } from 'node:fs'
import { cutText, encodeFrame } from './frames.ts'
import type { GuestFrame } from './protocol.ts'
import type { Limits } from './sandbox.ts'

/** The guest may print on for this long before what it said is sent. */
const FLUSH_MS = 20
const FLUSH_CHARS = 4_096

/** Sends what is printed in pieces, so that it survives a kill, and drops what is over the limit. */
export function createOutput(limits: Pick<Limits, 'stdoutBytes' | 'stderrBytes'>) {
  const left = { stdout: limits.stdoutBytes + 1, stderr: limits.stderrBytes + 1 }
  const held = { stdout: '', stderr: '' }
  let flushedAt = 0

  function flush(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      if (held[stream] !== '') send({ type: 'print', stream, text: held[stream] })
      held[stream] = ''
    }
    flushedAt = performance.now()
  }

  function print(stream: 'stdout' | 'stderr', text: string): void {
    if (left[stream] <= 0) return
    // One character over the limit tells the host that there was more.
    const kept = text.slice(0, left[stream])
    left[stream] -= kept.length
    held[stream] += kept
    if (held[stream].length > FLUSH_CHARS || performance.now() - flushedAt > FLUSH_MS) flush()
  }

  return { flush, print }
}

/** A call, with the parts of its last argument ahead of it. */
export function encodeCall(id: number, name: string, args: string[]): Buffer {
  const { ahead, last } = cutText(args.at(-1) ?? '')
  const frames: GuestFrame[] = [
    ...ahead.map((text) => ({ type: 'part' as const, id, text })),
    { type: 'call', id, name, args: args.length === 0 ? [] : [...args.slice(0, -1), last] },
  ]
  return Buffer.concat(frames.map(encodeFrame))
}

export function send(frame: GuestFrame): void {
  writeAll(encodeFrame(frame))
}

/** Synchronous: the guest may block this process in the next moment. */
export function writeAll(bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(1, bytes, at)
}
