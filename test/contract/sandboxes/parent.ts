// A process that starts sandbox children, prints the ids of all that it has started and is killed (running.test.ts).
import { readdirSync, readFileSync } from 'node:fs'
import { createBubblewrapSandbox } from '../../../tools/sandbox/bubblewrap.ts'
import { createChildSandbox } from '../../../tools/sandbox/child.ts'
import { createWorkspaces } from '../../../tools/workspace.ts'

const [, , name, root = ''] = process.argv
const create = name === 'bubblewrap' ? createBubblewrapSandbox : createChildSandbox
const backend = create({ workspaces: createWorkspaces(root), limits: { cpuMs: 1_000 } })
const sandbox = await backend.open({
  threadId: '7b1f6b0e-3a52-4c7e-9a51-0d3f3a1f0c12',
  language: 'javascript',
  limits: { wallMs: 60_000 },
})
await sandbox.run('1')
// A native call: the interpreter does not look at its clock, only the kernel's limit of CPU time ends it.
void sandbox.run('new Array(2 ** 32 - 1).indexOf(1)')
setTimeout(() => {
  console.log(descendants(String(process.pid)).join('\n'))
  process.kill(process.pid, 'SIGKILL')
}, 500)

function descendants(pid: string): string[] {
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
  return children.flatMap((child) => [child, ...descendants(child)])
}

function parentOf(pid: string): string | undefined {
  try {
    return /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}
