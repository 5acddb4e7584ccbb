import { z } from 'zod'
import { reactGraph } from '../../../graphs/react.ts'
import { defineTool, type Tool } from '../../../tools/define.ts'
import { happened } from '../grants/journal.ts'

/** Which release of the project a server has: another one does not know what this one's holds were asked for. */
export const release = { version: '1' }
const ofRelease = (tool: object) =>
  Object.defineProperty(tool, 'version', { get: () => release.version }) as Tool

const REFUND = z.object({
  order: z
    .string()
    .trim()
    .regex(/^\s*A-\d+\s*$/),
  // What JSON Schema has no word for.
  cents: z
    .int()
    .positive()
    .refine((cents) => cents % 5 === 0, 'must be in steps of 5'),
  note: z.string().default('none'),
})

/** What it does, and says that it would do. */
export function words({ order, cents, note }: { order: string; cents: number; note: string }): string {
  return `refund ${order}: ${cents} (${note})`
}

const refund = ofRelease(
  defineTool({
    name: 'refund',
    description: 'Pays money back.',
    schema: REFUND,
    risk: ({ cents }) => (cents > 1_000 ? 'high' : 'medium'),
    effect: 'once',
    preview: (args) => Promise.resolve({ kind: 'text', text: words(args) }),
    run(args) {
      happened(words(args))
      return Promise.resolve({ done: true })
    },
  }),
)

/** Shows nothing of what it would do. */
const label = ofRelease(
  defineTool({
    name: 'label',
    description: 'Labels an order.',
    schema: z.object({ text: z.string().min(1).trim() }),
    risk: 'medium',
    effect: 'once',
    run({ text }) {
      happened(`label ${text}`)
      return Promise.resolve({ done: true })
    },
  }),
)

export const clerk = reactGraph({ tools: [refund, label] }).compile()
