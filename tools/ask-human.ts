import { z } from 'zod'
import { defineTool } from './define.ts'

const line = z.string().min(1).max(500)

export const askHuman = defineTool({
  name: 'ask_human',
  description:
    'Asks a person one question and waits for the answer, which comes back as text; it may take hours. Ask what only a ' +
    'person can know or decide, with all that they need to answer it. It is no way to have another tool approved: ' +
    'call that tool.',
  schema: z.object({
    question: z.string().min(1).max(4_000),
    options: z.array(line).min(2).max(20).optional().describe('Answers to choose from, if there are such.'),
  }),
  risk: 'medium',
  effect: 'none',
  trusted: true,
  // What an allowance of the policy cannot do: the answer is a person's, or it is none.
  asks: true,

  /** Whoever approves it has answered nothing. */
  run() {
    return Promise.resolve({
      answered_by: null,
      message: 'A person has seen the question and given no answer.',
    })
  },

  preview({ question, options = [] }) {
    return Promise.resolve({ kind: 'text', text: [question, ...options.map((one) => `- ${one}`)].join('\n') })
  },
})
