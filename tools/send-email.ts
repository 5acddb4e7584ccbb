import { z } from 'zod'
import { defineTool, type ToolCallContext } from './define.ts'
import { type Mail, MAILER, type Sending } from './mailer.ts'

/** Zod's expression allows no spaces, quotes, angle brackets, commas or line breaks: nothing that ends a header. */
const address = z.email().max(254)
const line = z
  .string()
  .min(1)
  .max(200)
  // oxlint-disable-next-line no-control-regex -- a line break would begin another header
  .regex(/^[^\u0000-\u001f\u007f\u0085\u2028\u2029]*$/, 'one line without control characters')

const schema = z.object({
  to: z.union([address, z.array(address).min(1).max(20)]).describe('One address, or 1 to 20.'),
  cc: z.union([address, z.array(address).min(1).max(20)]).optional(),
  subject: line,
  body: z.string().min(1).max(50_000).describe('Plain text.'),
})

export const sendEmail = defineTool({
  name: 'send_email',
  description:
    'Sends one plain-text email to up to 20 addresses, from an address that the operator set. It sends no ' +
    'attachments and no HTML, and a mail that was sent cannot be taken back.',
  schema,
  risk: 'medium',
  effect: 'once',
  trusted: true,
  timeoutMs: 30_000,

  async run(args, call) {
    call.signal.throwIfAborted()
    return await call.service(MAILER).send(mailOf(args), sendingOf(call))
  },

  preview(args, call) {
    return Promise.resolve({ kind: 'mail', from: call.service(MAILER).from, ...mailOf(args) })
  },

  async probe(_args, call) {
    const sent = await call.service(MAILER).probe(sendingOf(call))
    if (sent === 'unknown') return { state: 'unknown' }
    return sent === 'never' ? { state: 'can_no_longer_happen' } : { state: 'happened', result: sent }
  },
})

function mailOf({ to, cc, subject, body }: z.output<typeof schema>): Mail {
  return { to: [to].flat(), cc: cc === undefined ? [] : [cc].flat(), subject, text: body }
}

function sendingOf(call: ToolCallContext): Sending {
  return { key: call.idempotencyKey, attempt: call.attempt }
}
