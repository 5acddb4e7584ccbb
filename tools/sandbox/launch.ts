import type { Program, StartLimits } from './runner-programs.ts'

/** How a program is started within a boundary of its own. */
export type Launch = (program: Program, limits: StartLimits) => Start

export interface Start {
  command: string
  args: string[]
  /** Called when the process has ended. */
  ended?: () => void
}

/** As a child process, within limits that the kernel keeps even when this process is gone. */
export const launchChild: Launch = (program, limits) => withLimits(program.command, program, limits)

/**
 * CPU seconds and private memory; no core dumps, and no file is written. There is a shell for it on every system but
 * Windows. A CPU limit is for one run; the limit is twice that, and the pool retires a child that has used it once.
 * `join`: files that the process writes its id to first.
 */
export function withLimits(
  command: string[],
  { dataBytes }: Program,
  { cpuMs }: StartLimits,
  join: string[] = [],
): Start {
  if (process.platform === 'win32') return { command: command[0] ?? '', args: command.slice(1) }
  const steps = [
    ...join.map((file) => `echo $$ > '${file}'`),
    `ulimit -t ${Math.ceil((2 * cpuMs) / 1000)}`,
    'ulimit -c 0',
    'ulimit -f 0',
    ...(process.platform === 'linux' ? [`ulimit -d ${Math.ceil(dataBytes / 1024)}`] : []),
    'exec "$0" "$@"',
  ]
  return { command: '/bin/sh', args: ['-c', steps.join(' && '), ...command] }
}
