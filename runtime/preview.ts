import { z } from 'zod'
import { argsHash, hasCanonicalForm } from './call.ts'
import type { Json } from './json.ts'

/** Characters of its JSON. */
export const MAX_PREVIEW = 64 * 1024

/**
 * What a call would do, as people read it before they release it. `diff`: of one file; `before`: the SHA-256 of the whole
 * file as it is, so that a text that is cut still tells every change. `mail`: as it will be sent.
 */
export const Preview = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('diff'),
      path: z.string(),
      before: z.string().nullable(),
      text: z.string(),
    }),
    z.strictObject({
      kind: z.literal('mail'),
      from: z.string(),
      to: z.array(z.string()),
      cc: z.array(z.string()),
      subject: z.string(),
      text: z.string(),
    }),
    z.strictObject({ kind: z.literal('text'), text: z.string() }),
    z.strictObject({
      kind: z.literal('table'),
      columns: z.array(z.string()),
      rows: z.array(z.array(z.string())),
    }),
  ])
  .refine((preview) => hasCanonicalForm(preview as Json), 'half a surrogate pair is not text')
export type Preview = z.infer<typeof Preview>

/** What people are shown of a call; `no_preview` says why it is nothing, where the tool would have had something. */
export interface Shown {
  preview: Preview | null
  preview_hash: string | null
  no_preview: string | null
}

export const NOTHING_SHOWN: Shown = { preview: null, preview_hash: null, no_preview: null }

/** SHA-256, in hex, of its canonical JSON. */
export function previewHash(preview: Preview): string {
  return argsHash(preview)
}
