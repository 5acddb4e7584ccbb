import type { Json } from './json.ts'
import type { EventType } from './webhook-event.ts'

/** One thing that one receiver is told, until it takes it. */
export interface Webhook {
  /** The same for every try. */
  id: string
  /** Whom a slow answer keeps waiting: an endpoint, or the host of a run's own receiver. */
  target: string
  /** Empty where the endpoint is gone. */
  url: string
  /** JSON text. */
  payload: string
  /** With this one. */
  tries: number
  /** Since the first of them. */
  ageSeconds: number
  /** Null where a run asked for it. */
  endpoint: {
    id: string
    /** False where it was disabled or deleted. */
    enabled: boolean
    /** Sealed; the newest first. */
    secrets: string[]
  } | null
}

/** What a process may send besides what it is sending. */
export interface Lanes {
  /** More of all endpoints together, and of all receivers that runs named: neither takes the other's. */
  free: { endpoints: number; runs: number }
  /** At a time of one target. */
  each: number
  /** By target, how many it is sending. */
  busy: ReadonlyMap<string, number>
}

/** A webhook that was given up. Dates are ISO 8601. */
export interface DeadWebhook {
  id: string
  /** Null where a run asked for it. */
  endpoint_id: string | null
  url: string
  type: string
  tries: number
  error: string
  created_at: string
  dead_at: string
}

export interface NewEndpoint {
  endpoint_id: string
  url: string
  description: string
  /** Empty: all. */
  events: EventType[]
  /** Whose approvals; empty: all. */
  tools: string[]
  /** What the metadata of their threads must contain. */
  thread_metadata: Record<string, Json>
  /** Whose approvals and runs; null: everybody's. */
  tenant: string | null
}

/** Who is told of approvals and runs. Dates are ISO 8601. */
export interface WebhookEndpoint extends NewEndpoint {
  /** Null: it is enabled. */
  disabled_because: string | null
  created_at: string
  /** Until then the secret before the last rotation signs as well. */
  previous_until: string | null
  pending: number
  dead: number
  delivered_at: string | null
  /** What the newest of the pending ones was answered. */
  last_error: string | null
}

/** What clients and endpoints are to be told, until it is delivered. */
export interface Webhooks {
  /** Those that are due, fairly by target. Whoever claims one has it for that long. */
  claim(lanes: Lanes, leaseSeconds: number): Promise<Webhook[]>
  /** Seconds until one is due that has a lane; `undefined` where none is. */
  nextIn(lanes: Lanes): Promise<number | undefined>
  delivered(id: string): Promise<void>
  /** Not taken; `retryInSeconds` unset gives it up. */
  failed(id: string, error: string, retryInSeconds: number | undefined): Promise<void>
  /** Those that were given up, newest first, at most 100; of one endpoint, or all. */
  dead(endpointId?: string): Promise<DeadWebhook[]>
  /** Tries it anew, as if it were the first time. False where there is no such webhook, or its endpoint is not enabled. */
  redeliver(id: string): Promise<boolean>
  /** Deletes what was delivered a day ago, or given up thirty. */
  prune(now: Date): Promise<void>
}

/** Who is told of approvals and runs. Changes count at once, on every server, and are recorded. `by`: unset, it is our doing. */
export interface WebhookEndpoints {
  /** `secret`: sealed. */
  create(endpoint: NewEndpoint, secret: string, by?: string): Promise<void>
  list(): Promise<WebhookEndpoint[]>
  /** With what waits for it. */
  delete(endpointId: string, by?: string): Promise<boolean>
  /** `secret`: sealed. The one that it had signs as well for so long. */
  rotate(endpointId: string, secret: string, overlapSeconds: number, by?: string): Promise<boolean>
  /** It is told nothing more, and what waits for it is given up. */
  disable(endpointId: string, because: string, by?: string): Promise<boolean>
  enable(endpointId: string, by?: string): Promise<boolean>
  /** Sealed, the newest first, of one that is enabled. */
  secrets(endpointId: string): Promise<{ tenant: string | null; secrets: string[] } | undefined>
  /** Queues an event of type `webhook.test`. Its id; `undefined` where there is no such endpoint, or it is disabled. */
  test(endpointId: string): Promise<string | undefined>
}
