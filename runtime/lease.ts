/** Another worker holds the run now, or nobody does: whatever this one still writes is refused. */
export class LeaseLost extends Error {
  constructor(runId: string) {
    super(`The lease on run ${runId} is lost. Another worker goes on with it.`)
    this.name = 'LeaseLost'
  }
}
