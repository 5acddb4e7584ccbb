/** What ends the demo: one line that says what to do. */
export class Problem extends Error {
  readonly exitCode: number

  /** 1: it did not work. 2: it was called wrongly. */
  constructor(message: string, { exitCode = 1, ...options }: ErrorOptions & { exitCode?: number } = {}) {
    super(message, options)
    this.name = 'Problem'
    this.exitCode = exitCode
  }
}
