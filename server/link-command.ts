import { parseArgs } from 'node:util'
import { issueLink, LINK_DECISIONS, type LinkDecision, MAX_LINK_S } from '../runtime/decision-link.ts'
import { isUuid } from '../runtime/ids.ts'
import { BY, secondsOf } from './people-command.ts'
import { linkUrl } from './routes/decision-links.ts'

export const LINK_USAGE =
  'holdpoint approvals link APPROVAL --for NAME [--decision approve|reject] [--expires 2h] [--endpoint ID]'

export interface LinkCommand {
  approvalId: string
  identity: string
  decision: LinkDecision | undefined
  /** Whose signature it wants. */
  endpointId: string | undefined
  expiresInSeconds: number | undefined
}

const text = { type: 'string' } as const
const OPTIONS = {
  for: text,
  decision: text,
  endpoint: text,
  expires: text,
  help: { type: 'boolean', short: 'h' },
} as const

/** Reads what stands behind `holdpoint`. Throws one line. `undefined`: help is wanted. */
export function readLinkCommand(argv: string[]): LinkCommand | undefined {
  const { values, positionals } = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true })
  if (values.help === true) return undefined
  const [, action, approvalId = '', ...more] = positionals
  if (action !== 'link' || more.length > 0) throw new Error(`What there is of approvals is ${LINK_USAGE}`)
  if (!isUuid(approvalId)) throw new Error('approvals link wants the id of an approval, which is a UUID')
  if (values.for === undefined) throw new Error('approvals link wants --for NAME, who decides by it')
  const decision = LINK_DECISIONS.find((one) => one === values.decision)
  if (values.decision !== undefined && decision === undefined)
    throw new Error(`--decision is ${LINK_DECISIONS.join(' or ')}`)
  const { endpoint: endpointId } = values
  if (endpointId !== undefined && !isUuid(endpointId))
    throw new Error('--endpoint wants the id of an endpoint, as holdpoint webhooks list shows it')
  return {
    approvalId,
    endpointId,
    identity: values.for,
    decision,
    expiresInSeconds: values.expires === undefined ? undefined : expiryOf(values.expires),
  }
}

function expiryOf(time: string): number {
  const seconds = secondsOf(time)
  if (seconds <= MAX_LINK_S) return seconds
  throw new Error('--expires is 24h at most')
}

/** Makes the link. `base`: where its owner reaches the server; `out` takes what programs read. */
export async function makeLink(
  ports: Parameters<typeof issueLink>[0],
  command: LinkCommand,
  { base, out, say }: { base: string; out: (line: string) => void; say: (line: string) => void },
): Promise<void> {
  const { token, identity, decision, expires_at: end } = await issueLink(ports, { ...command, by: BY })
  say(`Whoever has it can ${decision ?? 'decide'} as ${identity}, once, until ${end}. It is shown this once:`)
  out(linkUrl(base, token))
}
