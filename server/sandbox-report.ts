import type { Log } from '../runtime/ports.ts'

interface Found {
  backend: { id: string; level: string } | undefined
  capabilities?: Record<string, string>
  /** Why others were not taken. */
  passedOver: string[]
}

/** Says what stands around the code that agents write, on this host. */
export function tellSandbox({ backend, capabilities, passedOver }: Found, log: Log): void {
  if (backend === undefined)
    return log.warn('No sandbox works here: run_javascript and run_python are unavailable', { passedOver })
  const enforced = { backend: backend.id, isolation: backend.level, ...capabilities }
  log.info('The sandbox of code that agents write', {
    ...enforced,
    ...(passedOver.length > 0 && { passedOver }),
  })
}
