export const topics = {
  queue: 'queue',
  /** A run of the thread wrote its first event, or ended. */
  thread: (threadId: string) => `thread:${threadId}`,
  /** The run's status changed. */
  run: (runId: string) => `run:${runId}`,
  /** The run's events are committed up to that number. */
  events: (runId: string, through: number) => `events:${runId}:${through}`,
  cancel: (runId: string) => `cancel:${runId}`,
  webhooks: 'webhooks',
  /** One is new, or due at another time. */
  crons: 'crons',
  /** A key or what its owner may do has changed. */
  keys: 'keys',
  hold: (approvalId: string) => `hold:${approvalId}`,
}
