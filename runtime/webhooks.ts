import type { Log, Signals, Webhook, Webhooks } from './ports.ts'
import { topics } from './topics.ts'

/** Should a signal be lost, a webhook is this late. */
const POLL_MS = 5_000
const AT_ONCE = 10
/** Longer than a try takes: then nobody else makes it meanwhile. */
const LEASE_SECONDS = 30
export const TRY_MS = 10_000
const FIRST_RETRY_SECONDS = 1
const LONGEST_RETRY_SECONDS = 3_600
const GIVE_UP_SECONDS = 24 * 3_600

/** Posts the body. Rejects where the receiver did not take it, with a message that says why. */
export type SendWebhook = (
  url: string,
  body: string,
  options: { id: string; signal: AbortSignal },
) => Promise<void>

interface WebhookPorts {
  webhooks: Webhooks
  signals: Signals
  log: Log
  send: SendWebhook
}

/** Delivers webhooks, each at least once, in any number of processes. A receiver tells repeats by their id. */
export function startWebhooks(ports: WebhookPorts): { close(): Promise<void> } {
  const stop = new AbortController()
  const delivering = deliverAll(ports, stop.signal)
  return {
    async close() {
      stop.abort()
      await delivering
    },
  }
}

async function deliverAll(ports: WebhookPorts, signal: AbortSignal): Promise<void> {
  const watch = ports.signals.watch(topics.webhooks)
  try {
    while (!signal.aborted) {
      const due = await ports.webhooks.claim(AT_ONCE, LEASE_SECONDS).catch((error: unknown) => {
        ports.log.warn('Webhooks that are due could not be read; asking again', { cause: String(error) })
        return []
      })
      await Promise.all(due.map((webhook) => deliver(ports, webhook, signal)))
      if (due.length === 0) await watch.changed({ timeoutMs: await untilNext(ports), signal })
    }
  } finally {
    watch.close()
  }
}

/** Retries are seconds apart at first, and nobody signals them. */
async function untilNext({ webhooks }: WebhookPorts): Promise<number> {
  const seconds = await webhooks.nextIn().catch(() => undefined)
  return seconds === undefined ? POLL_MS : Math.min(POLL_MS, Math.max(10, seconds * 1_000))
}

async function deliver(ports: WebhookPorts, webhook: Webhook, stop: AbortSignal): Promise<void> {
  const { webhooks, log, send } = ports
  try {
    const body = JSON.stringify({
      ...(JSON.parse(webhook.payload) as Record<string, unknown>),
      webhook_sent_at: new Date().toISOString(),
    })
    try {
      await send(webhook.url, body, {
        id: webhook.id,
        signal: AbortSignal.any([stop, AbortSignal.timeout(TRY_MS)]),
      })
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error)
      const retry = retryIn(webhook)
      await webhooks.failed(webhook.id, cause, retry)
      log.warn(retry === undefined ? 'A webhook was given up' : 'A webhook was not taken; trying again', {
        webhook_id: webhook.id,
        tries: webhook.tries,
        cause,
      })
      return
    }
    await webhooks.delivered(webhook.id)
  } catch (error) {
    // Its lease ends, and somebody tries again.
    log.warn('It could not be noted what became of a webhook', {
      webhook_id: webhook.id,
      cause: String(error),
    })
  }
}

/** Seconds to the next try: twice the last, up to an hour, with jitter; none a day after the first. */
export function retryIn({ tries, ageSeconds }: Pick<Webhook, 'tries' | 'ageSeconds'>): number | undefined {
  if (ageSeconds > GIVE_UP_SECONDS) return undefined
  const longest = Math.min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** Math.min(20, tries - 1))
  return longest * (0.5 + Math.random() / 2)
}
