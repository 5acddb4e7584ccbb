import { z } from 'zod'
import { defineTool, type PreviewContext, type Tool, ToolError } from '../../../tools/define.ts'
import { happened } from './journal.ts'

const schema = z.object({ note: z.string() })
const run = ({ note }: z.output<typeof schema>) => {
  happened(note)
  return Promise.resolve({ noted: note })
}
const held = { description: 'Notes.', schema, risk: 'medium', effect: 'once', run } as const

export const put = defineTool({ ...held, name: 'put' })
/** Held, though a second execution would change nothing. */
const peek = defineTool({ ...held, name: 'peek', effect: 'none' })
/** Needs two people, where there is one. */
const putTwo = defineTool({ ...held, name: 'put_two', risk: 'high' })
/** Needs nobody, and would do what does. */
const relay = defineTool({
  ...held,
  name: 'relay',
  risk: 'low',
  effect: 'none',
  run: (args, call) => put.run(args, call),
})

/** What a test says of the tools; a new version is a new deployment. */
export const deployed = {
  version: '1',
  shown: (_call: PreviewContext): Promise<unknown> => Promise.resolve({ kind: 'text', text: 'the same' }),
}
const ofVersion = (tool: object) => Object.defineProperty(tool, 'version', { get: () => deployed.version })
const edition = ofVersion(defineTool({ ...held, name: 'edition' }))
/** Begins, and ends with its run. */
const draft = ofVersion(
  defineTool({
    ...held,
    name: 'draft',
    effect: 'idempotent',
    timeoutMs: 60_000,
    run: ({ note }, call) => {
      happened(`draft ${note}`)
      return new Promise<never>((_, reject) =>
        call.signal.addEventListener('abort', () => reject(call.signal.reason as Error)),
      )
    },
  }),
)
const shown = defineTool({
  ...held,
  name: 'shown',
  preview: (_args, call) => deployed.shown(call) as ReturnType<NonNullable<Tool['preview']>>,
})

export function failing(message: string): () => Promise<never> {
  return () => Promise.reject(new ToolError('INTERNAL', message))
}

export const tools = [put, peek, draft, putTwo, relay, edition, shown] as unknown as Tool[]
