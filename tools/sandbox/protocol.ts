import { z } from 'zod'
import type { Limits } from './sandbox.ts'

/** To the child: code to run, or the answer to one of its calls, the long ones in parts. */
export type HostFrame =
  | { type: 'run'; code: string; limits: Limits }
  | { type: 'part'; id: number; text: string }
  | { type: 'reply'; id: number; ok: boolean; text: string }

const text = z.string()
const count = z.int().nonnegative()

/** From the child, which is taken for an enemy: the guest may have broken out of its interpreter. */
const guestFrame = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ready') }),
  /** Of the last argument of the call that follows. */
  z.strictObject({ type: z.literal('part'), id: count, text }),
  z.strictObject({ type: z.literal('call'), id: count, name: text.max(40), args: z.array(text).max(2) }),
  z.strictObject({ type: z.literal('print'), stream: z.enum(['stdout', 'stderr']), text }),
  z.strictObject({
    type: z.literal('done'),
    status: z.enum(['ok', 'guest_error', 'timeout', 'memory', 'output_limit', 'host_call_denied', 'crashed']),
    /** JSON, parsed on its own and under its own limits (untrusted-json.ts). */
    value: text.optional(),
    message: text.max(5_000).optional(),
    line: count.optional(),
    memoryBytes: count,
    /** Of the child since it started. */
    cpuMs: count,
  }),
])

export type GuestFrame = z.output<typeof guestFrame>
export type DoneFrame = Extract<GuestFrame, { type: 'done' }>

/** Throws on whatever is not a frame of ours. */
export function parseGuestFrame(json: string): GuestFrame {
  return guestFrame.parse(JSON.parse(json))
}
