import { spawn } from 'node:child_process'
import { encodeFrame, frameReader, MAX_FRAME_BYTES } from './frames.ts'
import type { Launch } from './launch.ts'
import { parseGuestFrame, type GuestFrame, type HostFrame } from './protocol.ts'
import type { Program, StartLimits } from './runner-programs.ts'

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
  /** What the child was allowed, and what it has used by its own account; of memory, now. */
  readonly limits: StartLimits
  readonly usage: { runs: number; cpuMs: number; memoryBytes: number }
}

/** CPython boots in 1.5 s where nothing else is done. */
const BOOT_MS = 20_000
/** Starts a program with an empty environment. The child ends when its stdin does. */
export function startRunner(program: Program, launch: Launch, limits: StartLimits): RunnerProcess {
  const { command, args, ended: release } = launch(program, limits)
  const child = spawn(command, args, { env: {}, stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true })
  let complaint = ''
  let killed = false
  let onFrame: (frame: GuestFrame) => void = () => {}
  let onMalformed = () => {}

  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => resolve(killed ? 'killed' : (signal ?? `exit code ${code}`)))
  })
  if (release !== undefined) void ended.then(release)
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
    limits,
    usage: { runs: 0, cpuMs: 0, memoryBytes: 0 },
  }
}

function setReferenced(handle: object, referenced: boolean): void {
  const method = referenced ? 'ref' : 'unref'
  const sockets = handle as { ref?: () => void; unref?: () => void }
  sockets[method]?.()
}
