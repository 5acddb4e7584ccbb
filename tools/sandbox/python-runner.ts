// The program that runs Python in the disposable child (runner-process.ts): frames in on stdin, frames out on stdout.
// It is synchronous throughout, as the code that it runs is: while a file call waits, so does everything.
import { readFileSync, readSync, writeSync } from 'node:fs'
import { frameReader, MAX_CALL_CHARS, MAX_FRAME_BYTES } from './frames.ts'
import type { DoneFrame, HostFrame } from './protocol.ts'
import { bootPython } from './python-boot.ts'
import { createOutput, encodeCall, send, writeAll } from './runner-output.ts'
import type { Limits } from './sandbox.ts'

type Outcome = Pick<DoneFrame, 'status' | 'value' | 'message' | 'line'>
type Output = ReturnType<typeof createOutput>
type Run = { code: string; limits: Limits; output: Output; outcome?: Outcome }
/** Requests of the prelude. */
type Request = [name: 'code'] | [name: 'done', outcome: Outcome] | [call: string, ...args: string[]]

const NOTHING = Buffer.alloc(0)
/** One at a time: what a run's output and answers belong to. */
let current: Run | undefined
let callIds = 0

// Before Pyodide takes what it likes of it.
const { argv, exit, cpuUsage } = process
const frames: HostFrame[] = []
const read = frameReader(MAX_FRAME_BYTES, (json) => frames.push(JSON.parse(json) as HostFrame))

await main(argv[2] ?? '', Number(argv[3]), argv[4])

async function main(directory: string, memoryBytes: number, snapshotPath?: string): Promise<void> {
  const snapshot = snapshotPath === undefined ? undefined : readFileSync(snapshotPath)
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }
  const python = await bootPython(
    directory,
    { maxBytes: memoryBytes, snapshot },
    {
      print(stream, bytes) {
        // The boot has nothing to say unless it fails.
        if (current === undefined) writeSync(2, bytes)
        else current.output.print(stream, decoders[stream].decode(bytes, { stream: true }))
      },
      request: (json) => answer(JSON.parse(json) as Request),
      refuse,
    },
  )

  function run(code: string, limits: Limits): void {
    const output = createOutput(limits)
    current = { code, limits, output }
    const ended = outcomeOf(() => python.call('_run()'))
    const used = python.memoryBytes()
    // There may be no memory left to say that there is none.
    const full = ended.status === 'crashed' && used > memoryBytes * 0.9
    const outcome = within(full ? { status: 'memory' } : ended, limits)
    output.flush()
    send({ type: 'done', ...outcome, memoryBytes: used, cpuMs: cpuMs() })
    python.reset()
  }

  send({ type: 'ready' })
  for (;;) {
    const frame = nextFrame()
    // A reply that nobody waits for is none of ours.
    if (frame.type === 'run') run(frame.code, frame.limits)
  }
}

function outcomeOf(call: () => boolean): Outcome {
  try {
    if (call() && current?.outcome !== undefined) return current.outcome
    return { status: 'guest_error', message: 'The code replaced what the sandbox itself uses.' }
  } catch (error) {
    // V8's stack ended before CPython's own count did. The memory is put back, so that the next call is none the worse.
    if (error instanceof RangeError)
      return { status: 'guest_error', message: 'The code recurses too deeply, or is nested too deeply.' }
    return { status: 'crashed', message: 'The interpreter crashed.' }
  }
}

function within(outcome: Outcome, limits: Limits): Outcome {
  if (outcome.status === 'memory') {
    const megabytes = Math.round(limits.memoryBytes / 1024 / 1024)
    return {
      status: 'memory',
      message: `The code needs more than ${megabytes} MB of memory. Work on smaller pieces.`,
    }
  }
  const bytes = Buffer.byteLength(outcome.value ?? '')
  if (bytes <= limits.resultBytes) return { ...outcome, line: outcome.line ?? undefined }
  return {
    status: 'output_limit',
    message: `The value has ${bytes} bytes as JSON, and ${limits.resultBytes} are allowed. Return less, or write it to a file.`,
  }
}

/** A guest that asked for what only an attack asks for: this process is not used again. */
function refuse(name: string): never {
  current?.output.flush()
  const message = `The code asked for something that the sandbox does not offer (${name}).`
  send({ type: 'done', status: 'host_call_denied', message, memoryBytes: 0, cpuMs: cpuMs() })
  return exit(1)
}

function answer(request: Request): Buffer {
  if (current === undefined) return NOTHING
  if (request[0] === 'code') return Buffer.from(current.code)
  if (request[0] === 'done') current.outcome = request[1] as Outcome
  else return call(request[0], request.slice(1) as string[])
  return NOTHING
}

/** Asks the host, and waits for its answer: `+` and the result, or `-` and what is wrong. */
function call(name: string, args: string[]): Buffer {
  current?.output.flush()
  const id = ++callIds
  const frame = encodeCall(id, name, args)
  if (frame.length > MAX_CALL_CHARS) return Buffer.from('-Too much is written at once. Write less.')
  writeAll(frame)
  let ahead = ''
  for (;;) {
    const frame = nextFrame()
    if (frame.type === 'run' || frame.id !== id) continue
    if (frame.type === 'part') ahead += frame.text
    else return Buffer.from((frame.ok ? '+' : '-') + ahead + frame.text)
  }
}

function nextFrame(): HostFrame {
  for (;;) {
    const frame = frames.shift()
    if (frame !== undefined) return frame
    const chunk = Buffer.allocUnsafe(64 * 1024)
    const bytes = readSync(0, chunk)
    // The end of stdin is the end of the parent.
    if (bytes === 0) exit()
    read(chunk.subarray(0, bytes))
  }
}

function cpuMs(): number {
  const { user, system } = cpuUsage()
  return Math.round((user + system) / 1000)
}
