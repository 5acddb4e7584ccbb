import type { Log, Signals } from './ports.ts'
import { topics } from './topics.ts'
import type { Lanes, Webhook, WebhookEndpoints, Webhooks } from './webhook.ts'
import { openSecret, signatureOf, type WebhookKeys } from './webhook-secret.ts'

/** Should a signal be lost, a webhook is this late. */
const POLL_MS = 5_000
/**
 * Of one process: to endpoints, and as many to receivers that runs name. Whoever may start a run may name many that never
 * answer, and holds four lanes of each for ten seconds; the endpoints are the operator's.
 */
const AT_ONCE = 32
const AT_ONCE_FOR_EACH = 4
/** Longer than a try takes: then nobody else makes it meanwhile. */
const LEASE_SECONDS = 15
const TRY_MS = 10_000
const FIRST_RETRY_SECONDS = 1
const LONGEST_RETRY_SECONDS = 3_600
const GIVE_UP_SECONDS = 24 * 3_600
const GONE = 410

/** Posts the body, and returns the status of the answer. Rejects where there is none, with a message that says why. */
export type SendWebhook = (
  url: string,
  body: string,
  options: { id: string; timestamp: number; signature: string; signal: AbortSignal },
) => Promise<number>

interface WebhookPorts {
  webhooks: Webhooks
  webhookEndpoints: Pick<WebhookEndpoints, 'disable'>
  signals: Signals
  log: Log
  send: SendWebhook
  keys: WebhookKeys
  /** Where people see an approval. */
  approvalUrl?: ((approvalId: string) => string) | undefined
}

/**
 * Delivers webhooks, each at least once, in any number of processes. A receiver tells repeats by their id. Each has
 * lanes of its own, so that none waits for another that is slow.
 */
export function startWebhooks(
  ports: WebhookPorts,
  { tryMs = TRY_MS }: { tryMs?: number } = {},
): { close(): Promise<void> } {
  const stop = new AbortController()
  const delivering = deliverAll(ports, tryMs, stop.signal)
  return {
    async close() {
      stop.abort()
      await delivering
    },
  }
}

async function deliverAll(ports: WebhookPorts, tryMs: number, stop: AbortSignal): Promise<void> {
  const watch = ports.signals.watch(topics.webhooks)
  const sending = { endpoints: new Set<Promise<void>>(), runs: new Set<Promise<void>>() }
  const busy = new Map<string, number>()
  let freed = new AbortController()
  const begin = (webhook: Webhook) => {
    const { target } = webhook
    const side = webhook.endpoint === null ? sending.runs : sending.endpoints
    busy.set(target, (busy.get(target) ?? 0) + 1)
    const sent = deliver(ports, webhook, tryMs, stop).finally(() => {
      side.delete(sent)
      const left = (busy.get(target) ?? 1) - 1
      if (left > 0) busy.set(target, left)
      else busy.delete(target)
      freed.abort()
    })
    side.add(sent)
  }
  try {
    while (!stop.aborted) {
      freed = new AbortController()
      const free = {
        endpoints: AT_ONCE - sending.endpoints.size,
        runs: AT_ONCE - sending.runs.size,
      }
      const lanes = { free, each: AT_ONCE_FOR_EACH, busy }
      const due = await claim(ports, lanes)
      due.forEach(begin)
      if (due.length > 0) continue
      const timeoutMs = await untilNext(ports, lanes)
      await watch.changed({ timeoutMs, signal: AbortSignal.any([stop, freed.signal]) })
    }
  } finally {
    watch.close()
    await Promise.all([...sending.endpoints, ...sending.runs])
  }
}

async function claim({ webhooks, log }: WebhookPorts, lanes: Lanes): Promise<Webhook[]> {
  return await webhooks.claim(lanes, LEASE_SECONDS).catch((error: unknown) => {
    log.warn('Webhooks that are due could not be read; asking again', { cause: String(error) })
    return []
  })
}

/** Retries are seconds apart at first, and nobody signals them. A lane that gets free is noticed where it does. */
async function untilNext({ webhooks }: WebhookPorts, lanes: Lanes): Promise<number> {
  const seconds = await webhooks.nextIn(lanes).catch(() => undefined)
  return seconds === undefined ? POLL_MS : Math.min(POLL_MS, Math.max(10, seconds * 1_000))
}

async function deliver(
  ports: WebhookPorts,
  webhook: Webhook,
  tryMs: number,
  stop: AbortSignal,
): Promise<void> {
  const { webhooks, webhookEndpoints, log } = ports
  const { id, endpoint } = webhook
  try {
    if (endpoint?.enabled === false)
      return await webhooks.failed(id, 'The endpoint is disabled or deleted.', undefined)
    let status: number
    try {
      status = await post(ports, webhook, AbortSignal.any([stop, AbortSignal.timeout(tryMs)]))
    } catch (error) {
      // A stop says nothing of the receiver.
      if (stop.aborted) return await webhooks.failed(id, 'The server stopped.', 0)
      const cause = error instanceof Error ? error.message : String(error)
      return await notTaken(ports, webhook, cause, retryIn(webhook))
    }
    if (status >= 200 && status < 300) return await webhooks.delivered(id)
    const cause = `The receiver answered ${status}.`
    if (status !== GONE || endpoint === null)
      return await notTaken(ports, webhook, cause, status === GONE ? undefined : retryIn(webhook))
    await webhookEndpoints.disable(endpoint.id, cause)
    log.warn('An endpoint is gone: it is disabled, and what waits for it is given up', {
      ...fieldsOf(webhook),
      cause,
    })
  } catch (error) {
    // Its lease ends, and somebody tries again.
    log.warn('It could not be noted what became of a webhook', {
      ...fieldsOf(webhook),
      cause: String(error),
    })
  }
}

async function notTaken(
  { webhooks, log }: WebhookPorts,
  webhook: Webhook,
  cause: string,
  retry: number | undefined,
): Promise<void> {
  await webhooks.failed(webhook.id, cause, retry)
  const what = retry === undefined ? 'A webhook was given up' : 'A webhook was not taken; trying again'
  log.warn(what, { ...fieldsOf(webhook), cause })
}

function fieldsOf({ id, tries, endpoint }: Webhook): Record<string, unknown> {
  return { webhook_id: id, tries, ...(endpoint === null ? {} : { endpoint_id: endpoint.id }) }
}

async function post(
  { send, keys, approvalUrl }: WebhookPorts,
  { id, url, payload, endpoint }: Webhook,
  signal: AbortSignal,
): Promise<number> {
  const now = new Date()
  const timestamp = Math.floor(now.getTime() / 1_000)
  const content = JSON.parse(payload) as Record<string, unknown>
  const body = JSON.stringify(
    endpoint === null
      ? { ...content, webhook_sent_at: now.toISOString() }
      : { ...content, data: withUrl(content['data'] as Record<string, unknown>, approvalUrl) },
  )
  const secrets =
    endpoint === null
      ? [keys.ofRuns]
      : endpoint.secrets.map((sealed) => openSecret(keys, endpoint.id, sealed))
  return await send(url, body, {
    id,
    timestamp,
    signature: signatureOf(secrets, { id, timestamp, body }),
    signal,
  })
}

function withUrl(data: Record<string, unknown>, approvalUrl: WebhookPorts['approvalUrl']) {
  const { approval_id: id } = data
  return approvalUrl === undefined || typeof id !== 'string' ? data : { ...data, url: approvalUrl(id) }
}

/** Seconds to the next try: twice the last, up to an hour, with jitter; none a day after the first. */
export function retryIn({ tries, ageSeconds }: Pick<Webhook, 'tries' | 'ageSeconds'>): number | undefined {
  if (ageSeconds > GIVE_UP_SECONDS) return undefined
  const longest = Math.min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** Math.min(20, tries - 1))
  return longest * (0.5 + Math.random() / 2)
}
