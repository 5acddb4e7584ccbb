// The program that runs in the disposable child (runner-process.ts): frames in on stdin, frames out on stdout.
import { readFileSync } from 'node:fs'
import { frameReader, MAX_CALL_CHARS, MAX_FRAME_BYTES } from './frames.ts'
import type { HostFrame } from './protocol.ts'
import { runGuest, type GuestLimits, type Outside } from './quickjs-guest.ts'
import { createOutput, encodeCall, send, writeAll } from './runner-output.ts'
import type { Limits } from './sandbox.ts'

const WARM_UP: GuestLimits = { wallMs: 5_000, memoryBytes: 32 * 1024 * 1024, resultBytes: 1_024 }

/** Never used twice in a child, so that an answer to a run that is over cannot be taken for another's. */
let callIds = 0

await main(process.argv[2] ?? '')

async function main(wasmPath: string): Promise<void> {
  const wasm = await WebAssembly.compile(readFileSync(wasmPath))
  // The first instance is slow because everything is compiled lazily: let it be one that nobody waits for.
  await runGuest(wasm, 'console.log(await 1)', WARM_UP, { print() {}, call: async () => '' })

  let calls = createCalls()
  let ahead = ''

  async function run(code: string, limits: Limits): Promise<void> {
    const output = createOutput(limits)
    const { add } = (calls = createCalls())
    const outside: Outside = { print: output.print, call: (...call) => (output.flush(), add(...call)) }
    const result = await runGuest(wasm, code, limits, outside)
    output.flush()
    const { user, system } = process.cpuUsage()
    send({ type: 'done', ...result, cpuMs: Math.round((user + system) / 1000) })
  }

  function receive(json: string): void {
    const frame = JSON.parse(json) as HostFrame
    if (frame.type === 'run') void run(frame.code, frame.limits)
    else if (frame.type === 'part') ahead += frame.text
    else {
      calls.settle(frame.id, frame.ok, ahead + frame.text)
      ahead = ''
    }
  }

  // The end of stdin is the end of the parent.
  process.stdin.on('end', () => process.exit())
  process.stdin.on('data', frameReader(MAX_FRAME_BYTES, receive))
  send({ type: 'ready' })
}

/**
 * Sends calls one after the other. The guest may start many before it lets go of this process, which reads no answer
 * until then: if they were all sent, both sides could end up waiting for the other to read.
 */
function createCalls() {
  const waiting: {
    frame: Buffer
    id: number
    resolve: (text: string) => void
    reject: (e: Error) => void
  }[] = []
  let bytes = 0

  function add(name: string, args: string[]): Promise<string> {
    const id = ++callIds
    const frame = encodeCall(id, name, args)
    if (bytes + frame.length > MAX_CALL_CHARS) {
      return Promise.reject(new Error('Too much is written at once. Write less, or await each writeFile().'))
    }
    bytes += frame.length
    return new Promise((resolve, reject) => {
      waiting.push({ frame, id, resolve, reject })
      if (waiting.length === 1) writeAll(frame)
    })
  }

  function settle(id: number, ok: boolean, text: string): void {
    // Of a run that is over.
    if (waiting[0]?.id !== id) return
    const call = waiting.shift()
    bytes -= call?.frame.length ?? 0
    if (ok) call?.resolve(text)
    else call?.reject(new Error(text))
    if (waiting[0] !== undefined) writeAll(waiting[0].frame)
  }

  return { add, settle }
}
