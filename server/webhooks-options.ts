import { parseArgs, type ParseArgsConfig } from 'node:util'
import { z } from 'zod'
import type { NewEndpoint } from '../runtime/webhook.ts'
import { EVENT_TYPES } from '../runtime/webhook-event.ts'

export const WEBHOOKS_USAGE = `holdpoint webhooks create --url URL [--events TYPE,…] [--tools NAME,…] [--metadata JSON] [--tenant TENANT]
                         [--description TEXT]
holdpoint webhooks list
holdpoint webhooks test ENDPOINT
holdpoint webhooks rotate ENDPOINT [--overlap 24h]
holdpoint webhooks disable | enable | delete ENDPOINT
holdpoint webhooks dead [--endpoint ENDPOINT]
holdpoint webhooks redeliver WEBHOOK
holdpoint webhooks secret

Says who is told of approvals and runs. create and rotate show the endpoint's secret, this once.

  --url URL           http or https, where the webhooks are posted
  --events TYPE,…     ${EVENT_TYPES.slice(0, 4).join(', ')},
                      ${EVENT_TYPES.slice(4).join(', ')}; else all
  --tools NAME,…      approvals of these tools alone
  --metadata JSON     threads with this metadata alone, such as '{"graph_id":"react"}'
  --tenant TENANT     approvals and runs of this tenant alone; else everybody's
  --overlap TIME      how long the old secret signs as well: 30m, 24h, 7d, 0

test sends an event of type webhook.test. dead lists what was given up, and redeliver tries one of any state again.
secret shows what the webhooks are signed with that runs ask for themselves.
`

/** What `holdpoint webhooks` is to do. */
export type WebhooksCommand =
  | ({ name: 'create' } & Omit<NewEndpoint, 'endpoint_id'>)
  | { name: 'list' | 'secret' }
  | { name: 'dead'; endpoint: string | undefined }
  | { name: 'rotate'; id: string; overlapSeconds: number }
  | { name: 'delete' | 'disable' | 'enable' | 'redeliver' | 'test'; id: string }

const text = { type: 'string' } as const
const Id = z.uuid()

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }
const LONGEST_OVERLAP_SECONDS = 90 * 86_400

/** Throws one line that says what is wrong. */
export function readWebhooks([name = '', ...args]: string[]): WebhooksCommand {
  switch (name) {
    case 'create': {
      const { values } = read(args, 0, {
        url: text,
        events: text,
        tools: text,
        metadata: text,
        tenant: text,
        description: text,
      })
      return {
        name,
        url: urlOf(values.url),
        events: listOf(values.events).map(eventOf),
        tools: listOf(values.tools),
        thread_metadata: metadataOf(values.metadata),
        tenant: tenantOf(values.tenant),
        description: values.description ?? '',
      }
    }
    case 'list':
    case 'secret':
      read(args, 0, {})
      return { name }
    case 'dead': {
      const { endpoint } = read(args, 0, { endpoint: text }).values
      return { name, endpoint: endpoint === undefined ? undefined : idOf(endpoint) }
    }
    case 'rotate': {
      const { values, positionals } = read(args, 1, { overlap: text })
      return { name, id: idOf(positionals[0]), overlapSeconds: secondsOf(values.overlap ?? '24h') }
    }
    case 'delete':
    case 'disable':
    case 'enable':
    case 'redeliver':
    case 'test':
      return { name, id: idOf(read(args, 1, {}).positionals[0]) }
    default:
      throw new Error(name === '' ? 'webhooks needs to know what to do.' : `webhooks has no "${name}".`)
  }
}

function read<const Options extends NonNullable<ParseArgsConfig['options']>>(
  args: string[],
  positions: number,
  options: Options,
) {
  const parsed = parseArgs({ args, options, allowPositionals: true })
  const extra = parsed.positionals[positions]
  if (extra !== undefined) throw new Error(`"${extra}" is one too many.`)
  return parsed
}

function idOf(given: string | undefined): string {
  if (given === undefined) throw new Error('The id is missing: holdpoint webhooks list and dead show them.')
  const id = Id.safeParse(given)
  if (!id.success) throw new Error(`"${given}" is no id: holdpoint webhooks list and dead show them.`)
  return id.data
}

function urlOf(given: string | undefined): string {
  if (given === undefined) throw new Error('--url is missing, where the webhooks are posted.')
  const url = URL.parse(given)
  if (url === null || !/^https?:$/.test(url.protocol) || given.length > 2_000)
    throw new Error(`--url must be an http or https URL of at most 2000 characters, and not "${given}".`)
  if (url.username !== '' || url.password !== '')
    throw new Error('--url must have no user name and no password: the signature says who sends.')
  return url.href
}

function eventOf(given: string) {
  const type = EVENT_TYPES.find((one) => one === given)
  if (type === undefined) throw new Error(`--events has no "${given}", but ${EVENT_TYPES.join(', ')}.`)
  return type
}

function tenantOf(given: string | undefined): string | null {
  if (given?.trim() === '') throw new Error('--tenant must name one, or be left out.')
  return given ?? null
}

function metadataOf(given: string | undefined): NewEndpoint['thread_metadata'] {
  if (given === undefined) return {}
  try {
    return z.record(z.string(), z.json()).parse(JSON.parse(given))
  } catch (cause) {
    throw new Error(`--metadata must be a JSON object such as '{"graph_id":"react"}'.`, { cause })
  }
}

function secondsOf(given: string): number {
  const [, count, unit = 's'] = /^(\d+)([smhd])?$/.exec(given) ?? []
  const seconds = Number(count) * (SECONDS[unit] ?? Number.NaN)
  if (seconds <= LONGEST_OVERLAP_SECONDS) return seconds
  throw new Error('--overlap must be a time such as 30m, 24h, 7d or 0, and 90d at most.')
}

function listOf(given: string | undefined): string[] {
  return (given ?? '').split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]))
}
