/** Another worker holds the run now, or nobody does: whatever this one still writes is refused. */
export class LeaseLost extends Error {
  constructor(runId: string) {
    super(`The lease on run ${runId} is lost. Another worker goes on with it.`)
    this.name = 'LeaseLost'
  }
}

/** The server is stopping: the run goes back to the queue as it is. */
export class HandedOver extends Error {
  constructor() {
    super('The server is stopping. Another worker goes on with the run.')
    this.name = 'HandedOver'
  }
}

/** The database does not answer. What was being written may have been committed or not. */
export class StorageUnavailable extends Error {
  constructor(cause: unknown) {
    super('The database does not answer.', { cause })
    this.name = 'StorageUnavailable'
  }
}
