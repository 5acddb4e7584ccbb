// A process that starts sandbox children, prints their ids and is killed (test/integration/sandbox.test.ts).
import { readdirSync, readFileSync } from 'node:fs'
import { createChildSandbox } from '../../tools/sandbox/child.ts'
import { createWorkspaces } from '../../tools/workspace.ts'

const backend = createChildSandbox({
  workspaces: createWorkspaces(process.argv[2] ?? ''),
  limits: { cpuMs: 1_000 },
})
await backend.probe()
const sandbox = await backend.open({
  threadId: '7b1f6b0e-3a52-4c7e-9a51-0d3f3a1f0c12',
  limits: { wallMs: 60_000 },
})
// A native call: the interpreter does not look at its clock, only the kernel's limit of CPU time ends it.
void sandbox.run('new Array(2 ** 32 - 1).indexOf(1)')
setTimeout(() => {
  console.log(children().join('\n'))
  process.kill(process.pid, 'SIGKILL')
}, 500)

function children(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === String(process.pid))
}

function parentOf(pid: string): string | undefined {
  try {
    return /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}
