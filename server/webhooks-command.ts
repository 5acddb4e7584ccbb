import { newId } from '../runtime/ids.ts'
import type { DeadWebhook, WebhookEndpoint, WebhookEndpoints, Webhooks } from '../runtime/webhook.ts'
import { newWebhookSecret, sealSecret, type WebhookKeys } from '../runtime/webhook-secret.ts'
import type { WebhooksCommand } from './webhooks-options.ts'

interface CommandPorts {
  webhooks: Webhooks
  webhookEndpoints: WebhookEndpoints
  keys: WebhookKeys
}

const BY = 'command line'

/** Does it, and returns what there is to tell. Throws one line where it cannot be done. */
export async function manageWebhooks(ports: CommandPorts, command: WebhooksCommand): Promise<string[]> {
  const { webhooks, webhookEndpoints: endpoints, keys } = ports
  switch (command.name) {
    case 'create': {
      const { name: _, ...wanted } = command
      const id = newId()
      const secret = newWebhookSecret()
      await endpoints.create({ ...wanted, endpoint_id: id }, sealSecret(keys, id, secret), BY)
      return [
        `endpoint  ${id}`,
        ...shown(wanted),
        `secret    ${secret}`,
        '',
        'The secret is shown this once.',
      ]
    }
    case 'list': {
      const list = await endpoints.list()
      return list.length === 0 ? ['There are no endpoints.'] : list.flatMap(lines)
    }
    case 'secret':
      return [keys.ofRuns]
    case 'dead': {
      const dead = await webhooks.dead(command.endpoint)
      return dead.length === 0 ? ['No webhook was given up.'] : dead.map(deadLine)
    }
    case 'rotate': {
      const { id, overlapSeconds } = command
      const secret = newWebhookSecret()
      found(id, await endpoints.rotate(id, sealSecret(keys, id, secret), overlapSeconds, BY))
      const until = new Date(Date.now() + overlapSeconds * 1_000).toISOString()
      const old =
        overlapSeconds === 0 ? 'The old one signs nothing more.' : `The old one signs until ${until}.`
      return [`secret    ${secret}`, '', `The secret is shown this once. ${old}`]
    }
    case 'delete':
      found(command.id, await endpoints.delete(command.id, BY))
      return [`Endpoint ${command.id} is deleted, with all that waited for it.`]
    case 'disable':
      found(command.id, await endpoints.disable(command.id, 'Disabled by hand.', BY))
      return [`Endpoint ${command.id} is told nothing more. What waits for it is given up.`]
    case 'enable':
      found(command.id, await endpoints.enable(command.id, BY))
      return [
        `Endpoint ${command.id} is told what happens from now on. holdpoint webhooks dead lists what it missed.`,
      ]
    case 'redeliver':
      if (!(await webhooks.redeliver(command.id)))
        throw new Error(
          `There is no webhook ${command.id} that can be sent: its endpoint may be disabled (holdpoint webhooks enable).`,
        )
      return [`Webhook ${command.id} is tried again, by a server that runs.`]
    case 'test': {
      const webhook = await endpoints.test(command.id)
      if (webhook === undefined)
        throw new Error(`There is no enabled endpoint ${command.id}. holdpoint webhooks list shows them.`)
      return [`Webhook ${webhook} is queued for a server that runs. list says what was answered.`]
    }
  }
}

function found(id: string, is: boolean): void {
  if (!is) throw new Error(`There is no endpoint ${id}. holdpoint webhooks list shows them.`)
}

type Shown = Pick<WebhookEndpoint, 'url' | 'events' | 'tools' | 'thread_metadata' | 'tenant' | 'description'>

function shown({ url, events, tools, thread_metadata: metadata, tenant, description }: Shown): string[] {
  return [
    `url       ${url}`,
    `events    ${events.length === 0 ? 'all' : events.join(', ')}`,
    ...(tools.length === 0 ? [] : [`tools     ${tools.join(', ')}`]),
    ...(Object.keys(metadata).length === 0 ? [] : [`metadata  ${JSON.stringify(metadata)}`]),
    ...(tenant === null ? [] : [`tenant    ${tenant}`]),
    ...(description === '' ? [] : [`about     ${description}`]),
  ]
}

function lines(endpoint: WebhookEndpoint): string[] {
  const { disabled_because: because, previous_until: until, last_error: error } = endpoint
  return [
    `endpoint  ${endpoint.endpoint_id}`,
    ...shown(endpoint),
    `state     ${because === null ? 'enabled' : `disabled: ${because}`}`,
    ...(until === null ? [] : [`rotated   the secret before signs until ${until}`]),
    `told      ${endpoint.delivered_at ?? 'never'}, ${endpoint.pending} pending, ${endpoint.dead} dead`,
    ...(error === null ? [] : [`error     ${error}`]),
    '',
  ]
}

function deadLine({ id, endpoint_id, url, type, tries, error, dead_at }: DeadWebhook): string {
  const receiver = endpoint_id === null ? url : `endpoint ${endpoint_id}`
  return `${id}  ${type}  to ${receiver}  ${tries} tries until ${dead_at}  ${error}`
}
