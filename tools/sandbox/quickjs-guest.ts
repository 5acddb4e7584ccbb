import releaseSync from '@jitl/quickjs-wasmfile-release-sync'
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSSyncVariant,
} from 'quickjs-emscripten-core'
import type { DoneFrame } from './protocol.ts'
import { prelude } from './quickjs-prelude.ts'
import type { Limits } from './sandbox.ts'

type Outcome = Pick<DoneFrame, 'status' | 'value' | 'message' | 'line'>
export type GuestResult = Omit<DoneFrame, 'type' | 'cpuMs'>

export interface Outside {
  print(stream: 'stdout' | 'stderr', text: string): void
  call(name: string, args: string[]): Promise<string>
}

/** The limits that the interpreter itself keeps; the others are the runner's and the host's. */
export type GuestLimits = Pick<Limits, 'wallMs' | 'memoryBytes' | 'resultBytes'>

// Its types describe the CommonJS build, where the default export is one level further down.
const variant = releaseSync as unknown as QuickJSSyncVariant

const PAGE = 64 * 1024
/** What QuickJS is linked to start with: 16 MB. */
const INITIAL_PAGES = 256
/** QuickJS's JS_EVAL_FLAG_ASYNC: `await` at the top level, and a promise of `{value: the last expression's}`. */
const ASYNC = 1 << 7
/** About 3000 calls deep; runner-process.ts gives V8 the stack that this takes. */
const STACK_BYTES = 512 * 1024
/** Jobs between two looks at the clock. */
const SLICE = 64
/** Leaves room in the frame that carries it. */
const MAX_MESSAGE = 4_000

/** Runs code in an interpreter of its own, whose memory is the cap that QuickJS's own limit is not. */
export async function runGuest(
  wasmModule: WebAssembly.Module,
  code: string,
  limits: GuestLimits,
  outside: Outside,
): Promise<GuestResult> {
  const maximum = Math.max(INITIAL_PAGES, Math.ceil(limits.memoryBytes / PAGE))
  const wasmMemory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum })
  const done = (outcome: Outcome) => ({ ...outcome, memoryBytes: wasmMemory.buffer.byteLength })
  try {
    const quickjs = await newQuickJSWASMModuleFromVariant(newVariant(variant, { wasmModule, wasmMemory }))
    const context = quickjs.newContext()
    context.runtime.setMaxStackSize(STACK_BYTES)
    return done(await evaluate(context, code, limits, outside))
  } catch (error) {
    // V8's stack ended before QuickJS's own count did: its parser and JSON take larger steps than it thinks.
    if (error instanceof RangeError) return done({ status: 'guest_error', message: TOO_DEEP })
    // A trap or a failed assertion in the interpreter. Out of memory is by far the likeliest where memory is full.
    if (wasmMemory.buffer.byteLength >= maximum * PAGE) return done(outOfMemory(limits))
    return done({ status: 'crashed', message: 'The interpreter crashed.' })
  }
}

async function evaluate(
  vm: QuickJSContext,
  code: string,
  limits: GuestLimits,
  outside: Outside,
): Promise<Outcome> {
  const deadline = performance.now() + limits.wallMs
  const expired = () => performance.now() > deadline
  const calls = createCalls(vm, outside)
  const { finish, describe } = installPrelude(vm, outside, calls.start)
  // From here on: what is interrupted ends with an error, and our own words are to be there by then.
  vm.runtime.setInterruptHandler(expired)
  const timeout: Outcome = { status: 'timeout', message: `The code ran for more than ${limits.wallMs} ms.` }

  function failed(thrown: QuickJSHandle): Outcome {
    const described = vm.callFunction(describe, vm.undefined, thrown)
    if (expired()) return timeout
    const text = vm.getString(vm.unwrapResult(described))
    const { message, line, memory } = JSON.parse(text) as { message: string; line?: number; memory: boolean }
    if (memory) return outOfMemory(limits)
    return { status: 'guest_error', message: message.slice(0, MAX_MESSAGE), line }
  }

  const evaluated = evaluateScript(vm, code)
  if (expired()) return timeout
  if ('error' in evaluated) return failed(evaluated.error)
  const finished = vm.callFunction(finish, vm.undefined, evaluated.value)
  if (expired()) return timeout
  const promise = vm.unwrapResult(finished)
  for (;;) {
    while (vm.runtime.hasPendingJob() && !expired()) vm.runtime.executePendingJobs(SLICE).dispose()
    if (expired()) return timeout
    if (calls.open() === 0) break
    await calls.nextReply()
  }

  // Nothing is left that could run: what has not settled by now never will.
  const state = vm.getPromiseState(promise)
  if (state.type === 'rejected') return failed(state.error)
  if (state.type === 'pending') return { status: 'guest_error', message: NEVER_SETTLED }
  const value = vm.getString(state.value)
  const bytes = Buffer.byteLength(value)
  if (bytes <= limits.resultBytes) return { status: 'ok', value }
  return {
    status: 'output_limit',
    message: `The value has ${bytes} bytes as JSON, and ${limits.resultBytes} are allowed. Return less, or write it to a file.`,
  }
}

const TOO_DEEP = 'The code recurses too deeply, or is or holds something nested too deeply.'
const NEVER_SETTLED =
  'A promise never settled: the code awaits something that nothing will resolve or reject.'

function outOfMemory(limits: GuestLimits): Outcome {
  const megabytes = Math.round(limits.memoryBytes / 1024 / 1024)
  return {
    status: 'memory',
    message: `The code needs more than ${megabytes} MB of memory. Work on smaller pieces.`,
  }
}

/** As a script; if that cannot be because of a `return` at the top level, as the body of an async function. */
function evaluateScript(
  vm: QuickJSContext,
  code: string,
): { value: QuickJSHandle } | { error: QuickJSHandle } {
  const script = vm.evalCode(code, 'code.js', ASYNC)
  if (script.error === undefined) return { value: script.value }
  const message = vm.getProp(script.error, 'message')
  const isReturn = vm.typeof(message) === 'string' && vm.getString(message) === 'return not in a function'
  if (!isReturn) return { error: script.error }
  const body = vm.evalCode(`(async () => {${code}\n})()`, 'code.js', ASYNC)
  return body.error === undefined ? { value: body.value } : { error: body.error }
}

function installPrelude(
  vm: QuickJSContext,
  outside: Outside,
  call: (...args: QuickJSHandle[]) => QuickJSHandle,
) {
  const print = vm.newFunction('print', (stream, text) => {
    outside.print(vm.getString(stream) === 'stderr' ? 'stderr' : 'stdout', `${vm.getString(text)}\n`)
  })
  const install = vm.unwrapResult(vm.evalCode(`(${prelude.toString()})`, 'prelude.js', { type: 'global' }))
  const made = vm.unwrapResult(vm.callFunction(install, vm.undefined, print, vm.newFunction('call', call)))
  return { finish: vm.getProp(made, 'finish'), describe: vm.getProp(made, 'describe') }
}

/** Calls to the outside, of which the guest holds the promises. */
function createCalls(vm: QuickJSContext, outside: Outside) {
  const open = new Set<Promise<void>>()

  function start(name: QuickJSHandle, ...args: QuickJSHandle[]): QuickJSHandle {
    const promise = vm.newPromise()
    const call = outside
      .call(
        vm.getString(name),
        args.map((arg) => vm.getString(arg)),
      )
      .then(
        (text) => promise.resolve(vm.newString(text)),
        (reason: Error) => promise.reject(vm.newString(reason.message)),
      )
      .finally(() => open.delete(call))
    open.add(call)
    return promise.handle
  }

  return { start, open: () => open.size, nextReply: () => Promise.race(open) }
}
