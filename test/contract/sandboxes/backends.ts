import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Workspaces } from '../../../runtime/workspaces.ts'
import { createBubblewrapSandbox } from '../../../tools/sandbox/bubblewrap.ts'
import { createChildSandbox } from '../../../tools/sandbox/child.ts'
import type { RunnerSandboxOptions } from '../../../tools/sandbox/runner-sandbox.ts'
import type { Language, Limits, SandboxBackend } from '../../../tools/sandbox/sandbox.ts'
import { createWorkspaces } from '../../../tools/workspace.ts'

export const THREAD = '7b1f6b0e-3a52-4c7e-9a51-0d3f3a1f0c11'
export const LANGUAGES: Language[] = ['javascript', 'python']

const ALL = { child: createChildSandbox, bubblewrap: createBubblewrapSandbox }
export type BackendName = keyof typeof ALL

/** Those that work on this machine. What CI has asked for has to. */
export async function workingBackends(): Promise<BackendName[]> {
  const working: BackendName[] = []
  for (const name of Object.keys(ALL) as BackendName[]) {
    const backend = ALL[name]({ workspaces: {} as Workspaces })
    const probed = await backend.probe()
    await backend.close()
    if (probed.ok) working.push(name)
    else if (process.env['CI'] === 'true' || name === 'child') throw new Error(`${name}: ${probed.reason}`)
    else console.warn(`The sandbox ${name} is not tested: ${probed.reason}`)
  }
  return working
}

export interface Stage {
  /** Holds the workspaces, and a file `secret` beside them. */
  root: string
  workspaces: Workspaces
  backend: SandboxBackend
  run(
    language: Language,
    code: string,
    limits?: Partial<Limits>,
    signal?: AbortSignal,
    threadId?: string,
  ): ReturnType<Awaited<ReturnType<SandboxBackend['open']>>['run']>
  close(): Promise<void>
}

export async function openStage(
  name: BackendName,
  options: Partial<RunnerSandboxOptions> = {},
): Promise<Stage> {
  const root = await mkdtemp(join(tmpdir(), 'sandbox-'))
  const workspaces = createWorkspaces(join(root, 'workspaces'))
  const backend = ALL[name]({ workspaces, snapshots: join(root, 'snapshots'), ...options })
  return {
    root,
    workspaces,
    backend,
    async run(language, code, limits, signal, threadId = THREAD) {
      const sandbox = await backend.open({ threadId, language, limits })
      try {
        return await sandbox.run(code, { signal })
      } finally {
        await sandbox.close()
      }
    },
    async close() {
      await backend.close()
      await rm(root, { recursive: true })
    },
  }
}
