import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encodeFrame, frameReader, MAX_FRAME_BYTES } from './frames.ts'
import { parseGuestFrame, type GuestFrame, type HostFrame } from './protocol.ts'

/** A child that runs guest code. Whoever started it kills it. */
export interface RunnerProcess {
  /** Rejects when the child ends before it can take code, or takes too long. */
  ready: Promise<void>
  /** Resolves with how the child ended: `killed` by us, the name of a signal, or its exit code. */
  ended: Promise<string>
  /** Resolves when the child has taken the frame, or is gone. */
  send(frame: HostFrame): Promise<void>
  /** The one who hears frames from now on; `malformed` is told of bytes that are none. */
  listen(onFrame: (frame: GuestFrame) => void, malformed: () => void): void
  /** While not reading, the child has to wait with what it wants to say. */
  setReading(reading: boolean): void
  /** An idle child does not keep this process running. */
  setIdle(idle: boolean): void
  kill(): void
  /** What the child was allowed, and what it has used by its own account. */
  readonly cpuLimitMs: number
  readonly usage: { runs: number; cpuMs: number }
}

const BOOT_MS = 10_000
/** Of V8's own heap, beside the guest's memory: room for the largest file on its way through. */
const HEAP_MB = 256
/** Of V8's stack, within the 8 MB that a main thread has: QuickJS's parser recurses on it. */
const STACK_KB = 3_900
const RUNNER_FILES = ['quickjs-runner', 'quickjs-guest', 'quickjs-prelude', 'frames']
const CORE = 'quickjs-emscripten-core'
const FFI = '@jitl/quickjs-ffi-types'
const WASM = '@jitl/quickjs-wasmfile-release-sync'

/** The version of the interpreter. */
export function runnerVersion(): string {
  const { version } = createRequire(import.meta.url)(`${WASM}/package.json`) as { version: string }
  return version
}

/**
 * Starts `node --permission` with an empty environment, a closed file system and, where there is a shell, a limit of
 * CPU seconds that the kernel keeps even when this process is gone. The child ends when its stdin does.
 * `cpuMs` is for one run; the limit is twice that, and the pool retires a child that has used it once.
 */
export function startRunner(cpuMs: number): RunnerProcess {
  const [command, args] = withCpuLimit(
    [process.execPath, ...runnerArguments()],
    Math.ceil((2 * cpuMs) / 1000),
  )
  const child = spawn(command, args, { env: {}, stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true })
  let complaint = ''
  let killed = false
  let onFrame: (frame: GuestFrame) => void = () => {}
  let onMalformed = () => {}

  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => resolve(killed ? 'killed' : (signal ?? `exit code ${code}`)))
  })
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => fail(`it was not ready after ${BOOT_MS} ms`), BOOT_MS)
    const fail = (reason: string) => {
      clearTimeout(timer)
      kill()
      reject(new Error(`The sandbox process did not start: ${reason}. ${complaint}`.trim()))
    }
    onFrame = (frame) => {
      clearTimeout(timer)
      if (frame.type === 'ready') resolve()
      else fail('it said something else than "ready"')
    }
    onMalformed = () => fail('it sent malformed data')
    void ended.then(fail)
  })
  // A spare that nobody asks for must not end this process when it fails.
  ready.catch(() => {})

  const read = frameReader(MAX_FRAME_BYTES, (json) => onFrame(parseGuestFrame(json)))
  child.stdout.on('data', (chunk: Buffer) => {
    try {
      read(chunk)
    } catch {
      child.stdout.removeAllListeners('data')
      kill()
      onMalformed()
    }
  })
  // What is left unread would hold back the end.
  child.on('exit', () => child.stdout.resume())
  child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(0, 2_000)))
  // A child that was killed takes no more: what was to be said to it is moot.
  child.stdin.on('error', () => {})

  function kill(): void {
    killed = true
    child.kill('SIGKILL')
  }

  function setIdle(idle: boolean): void {
    for (const handle of [child, child.stdin, child.stdout, child.stderr]) setReferenced(handle, !idle)
  }

  return {
    ready,
    ended,
    send: (frame) => new Promise((resolve) => child.stdin.write(encodeFrame(frame), () => resolve())),
    setReading: (reading) => void (reading ? child.stdout.resume() : child.stdout.pause()),
    listen: (frames, malformed) => ([onFrame, onMalformed] = [frames, malformed]),
    setIdle,
    kill,
    cpuLimitMs: cpuMs,
    usage: { runs: 0, cpuMs: 0 },
  }
}

function runnerArguments(): string[] {
  const extension = extname(fileURLToPath(import.meta.url))
  const files = RUNNER_FILES.map((name) => fileURLToPath(new URL(name + extension, import.meta.url)))
  const require = createRequire(import.meta.url)
  const directories = [
    ...packageDirectories(require, CORE),
    ...packageDirectories(require, WASM),
    ...packageDirectories(createRequire(require.resolve(CORE)), FFI),
  ]
  return [
    '--permission',
    ...[...files, ...directories].map((path) => `--allow-fs-read=${path}`),
    `--max-old-space-size=${HEAP_MB}`,
    `--stack-size=${STACK_KB}`,
    '--no-warnings',
    files[0] ?? '',
    require.resolve(`${WASM}/wasm`),
  ]
}

/** Where a package is found and where it is: two places where it is linked, as pnpm does. Node asks for leave at both. */
function packageDirectories(require: NodeJS.Require, name: string): string[] {
  const found = require.resolve.paths(name)?.map((path) => join(path, name))
  const directory = found?.find((path) => existsSync(path))
  return directory === undefined ? [] : [...new Set([directory, realpathSync(directory)])]
}

function withCpuLimit(command: string[], seconds: number): [string, string[]] {
  if (process.platform === 'win32') return [command[0] ?? '', command.slice(1)]
  return ['/bin/sh', ['-c', `ulimit -t ${seconds}; ulimit -c 0; exec "$0" "$@"`, ...command]]
}

function setReferenced(handle: object, referenced: boolean): void {
  const method = referenced ? 'ref' : 'unref'
  const sockets = handle as { ref?: () => void; unref?: () => void }
  sockets[method]?.()
}
