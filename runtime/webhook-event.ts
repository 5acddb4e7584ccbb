import type { AuditKind } from './audit.ts'

/** What an endpoint may ask to be told. `completed` is a run that ended well, at a pause too; `failed` one that did not. */
export const EVENT_TYPES = [
  'approval.requested',
  'approval.decided',
  'approval.expired',
  'approval.escalated',
  'approval.cancelled',
  'run.completed',
  'run.failed',
] as const
export type EventType = (typeof EVENT_TYPES)[number]

/** Sent by hand, whatever an endpoint asks for. */
export const TEST_EVENT = 'webhook.test'

/** What is recorded of a hold, as endpoints are told it; null where they are not. One that is open again is asked for again. */
export const TOLD_AS: Record<Extract<AuditKind, `hold.${string}`>, EventType | null> = {
  'hold.requested': 'approval.requested',
  'hold.decided': 'approval.decided',
  'hold.expired': 'approval.expired',
  'hold.cancelled': 'approval.cancelled',
  'hold.reopened': 'approval.requested',
  // What is asked is another call now.
  'hold.edited': 'approval.requested',
  'hold.escalated': 'approval.escalated',
  'hold.voted': null,
  'hold.vote_withdrawn': null,
  'hold.commented': null,
  'hold.link_issued': null,
}

/** The body of every event's webhook. */
export interface WebhookEvent<Data = Record<string, unknown>> {
  type: EventType | typeof TEST_EVENT
  /** When it happened, ISO 8601. */
  timestamp: string
  data: Data
}
