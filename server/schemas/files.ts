import { z } from 'zod'

export const FileEntry = z.object({ path: z.string(), size: z.number().int(), modified_at: z.string() })
