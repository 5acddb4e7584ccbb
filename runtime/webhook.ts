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
