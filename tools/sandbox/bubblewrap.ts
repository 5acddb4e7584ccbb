import { existsSync, lstatSync, readlinkSync } from 'node:fs'
import { type Cgroups, findCgroups } from './cgroup.ts'
import { type Launch, withLimits } from './launch.ts'
import { createRunnerSandbox, type RunnerSandboxOptions } from './runner-sandbox.ts'
import type { Capabilities, SandboxBackend } from './sandbox.ts'

const PLACES = ['/usr/bin/bwrap', '/usr/local/bin/bwrap', '/bin/bwrap']
/** Beside Node's own threads, which count. */
const MAX_PIDS = 64
const TMP_BYTES = 16 * 1024 * 1024
/** Of the whole child, over what its program may have: page tables, code, its own share of libraries. */
const OVERHEAD_BYTES = 128 * 1024 * 1024

/**
 * Nothing of the host but Node and its libraries, which are read only; no network, no other process, no rights.
 * `--clearenv` is not enough: bwrap's own environment is read in /proc/1/environ, so that it is started without one.
 */
const WALLS =
  `--unshare-all --unshare-user --uid 65534 --gid 65534 --disable-userns --cap-drop ALL --die-with-parent
  --new-session --hostname sandbox --chdir / --proc /proc --dev /dev --size ${TMP_BYTES} --tmpfs /tmp`.split(
    /\s+/,
  )

/** The runners of the child backend inside bubblewrap's namespaces, and in a control group where the host grants one. */
export function createBubblewrapSandbox(options: RunnerSandboxOptions): SandboxBackend {
  const cgroups = findCgroups()
  const sandbox = createRunnerSandbox(
    {
      id: 'bubblewrap',
      level: 'namespace',
      launch: launchIn(cgroups),
      capabilities: capabilitiesWith(cgroups),
      close: async () => await cgroups?.close(),
    },
    options,
  )
  async function probe() {
    if (process.platform !== 'linux') return { ok: false as const, reason: 'Bubblewrap runs on Linux alone.' }
    if (!PLACES.some((place) => existsSync(place)))
      return {
        ok: false as const,
        reason: 'There is no bwrap. Install the package bubblewrap, 0.8 or newer.',
      }
    return await sandbox.probe()
  }
  return { ...sandbox, probe }
}

function capabilitiesWith(cgroups: Cgroups | undefined): Capabilities {
  const together = cgroups === undefined ? 'soft' : 'hard'
  return {
    wall: 'hard',
    cpu: 'hard',
    memory: together,
    network: 'hard',
    filesystem: 'hard',
    pids: together,
    output: 'hard',
  }
}

/** Starts a program that finds itself alone on a machine without a network, whatever it does. */
export function launchIn(cgroups: Cgroups | undefined): Launch {
  const bwrap = PLACES.find((place) => existsSync(place)) ?? 'bwrap'
  return (program, limits) => {
    const [executable = ''] = program.command
    const inside = [executable, ...program.reads].flatMap((path) => ['--ro-bind', path, path])
    const command = [bwrap, ...WALLS, ...libraries(), ...inside, '--', ...program.command]
    const group = cgroups?.make({ memoryBytes: program.dataBytes + OVERHEAD_BYTES, pids: MAX_PIDS })
    return { ...withLimits(command, program, limits, group?.join), ended: group?.release }
  }
}

/** Where Node's shared libraries are: directories on some systems, links on others. */
function libraries(): string[] {
  return ['/usr/lib', '/usr/lib64', '/lib', '/lib64'].flatMap((path) => {
    if (!existsSync(path)) return []
    if (lstatSync(path).isSymbolicLink()) return ['--symlink', readlinkSync(path), path]
    return ['--ro-bind', path, path]
  })
}
