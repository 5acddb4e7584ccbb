import { launchChild } from './launch.ts'
import { createRunnerSandbox, type RunnerSandboxOptions } from './runner-sandbox.ts'
import type { Capabilities, SandboxBackend } from './sandbox.ts'

const onUnix = process.platform === 'win32' ? 'soft' : 'hard'

/**
 * Files, processes and the network are not the guest's as long as its interpreter and Node's permissions hold. That is
 * much for QuickJS, and depth rather than a boundary for CPython. The kernel's limit of private memory is one process's,
 * and of no memory that it shares.
 */
const CAPABILITIES: Capabilities = {
  wall: 'hard',
  cpu: onUnix,
  memory: 'soft',
  network: 'soft',
  filesystem: 'soft',
  pids: 'soft',
  output: 'hard',
}

/** Runners as plain child processes: what every machine with Node has. */
export function createChildSandbox(options: RunnerSandboxOptions): SandboxBackend {
  return createRunnerSandbox(
    { id: 'child', level: 'process', launch: launchChild, capabilities: CAPABILITIES },
    options,
  )
}
