import child_process from 'node:child_process'
import dgram from 'node:dgram'
import { readFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { confine, type GuestFiles, type StreamOps } from './python-files.ts'
import { IMPORTS, PRELUDE } from './python-prelude.ts'
import { type Imports, sealable } from './python-seal.ts'

/** What the interpreter reaches: bytes go in and out, and nothing else. */
export interface Surroundings {
  print(stream: 'stdout' | 'stderr', bytes: Uint8Array): void
  /** Answers the prelude's request, which is JSON. */
  request(json: string): Buffer
  /** The interpreter asked for what it may not have. Does not return. */
  refuse(name: string): never
}

export interface Python {
  /**
   * Runs the prelude's code; `false` where it failed. Throws `RangeError` where the stack ended, and what WebAssembly
   * traps with.
   */
  call(statement: string): boolean
  memoryBytes(): number
  /** Puts everything back as it was after the boot: the next call finds an interpreter that nobody has used. */
  reset(): void
}

interface Pyodide {
  FS: GuestFiles
  makeMemorySnapshot(): Uint8Array
  setStdin(options: { error: true }): void
  setStdout(options: { write: (bytes: Uint8Array) => number }): void
  setStderr(options: { write: (bytes: Uint8Array) => number }): void
}

/** What is used of what CPython exports. */
interface Exports {
  memory: WebAssembly.Memory
  __stack_pointer: WebAssembly.Global<'i32'>
  malloc(bytes: number): number
  free(at: number): void
  PyRun_SimpleString(at: number): number
}

const PAGE = 64 * 1024
const HOME = '/home/guest'
/** Of all files that a run makes inside the interpreter: they are in this process's memory, not in the guest's. */
const FILE_BYTES = 64 * 1024 * 1024

/**
 * CPython with the modules that code begins with, as bytes that another boot starts from: 0.3 s instead of 2.
 * Nobody's code has run in it.
 */
export async function snapshotPython(directory: string, maxBytes: number): Promise<Uint8Array> {
  const { pyodide, call } = await load(directory, maxBytes, { _makeSnapshot: true }, (name) => {
    throw new Error(name)
  })
  must(call(IMPORTS))
  return pyodide.makeMemorySnapshot()
}

/** Boots CPython from the files of the package `pyodide` in `directory`, and closes every way out of WebAssembly. */
export async function bootPython(
  directory: string,
  { maxBytes, snapshot }: { maxBytes: number; snapshot?: Uint8Array },
  surroundings: Surroundings,
): Promise<Python> {
  const start = snapshot === undefined ? {} : { _loadSnapshot: snapshot }
  const { pyodide, exports, call, seal } = await load(directory, maxBytes, start, surroundings.refuse)
  disarm()

  const write = (stream: 'stdout' | 'stderr') => (bytes: Uint8Array) => {
    surroundings.print(stream, bytes)
    return bytes.length
  }
  pyodide.setStdin({ error: true })
  pyodide.setStdout({ write: write('stdout') })
  pyodide.setStderr({ write: write('stderr') })
  connect(pyodide.FS, surroundings)

  must(call(IMPORTS + PRELUDE))
  seal()
  const resetFiles = confine(pyodide.FS, [HOME, '/tmp'], FILE_BYTES)
  must(call('_warm_up()'))
  const memory = new Uint8Array(exports.memory.buffer).slice()
  const stack = exports.__stack_pointer.value

  function reset(): void {
    resetFiles()
    const now = new Uint8Array(exports.memory.buffer)
    now.set(memory)
    now.fill(0, memory.length)
    exports.__stack_pointer.value = stack
  }

  return { call, memoryBytes: () => exports.memory.buffer.byteLength, reset }
}

async function load(directory: string, maxBytes: number, start: object, refuse: Surroundings['refuse']) {
  prepare()
  const binary = readFileSync(join(directory, 'pyodide.asm.wasm'))
  const booted = intercept(binary, maxBytes, refuse)
  const { loadPyodide } = (await import(pathToFileURL(join(directory, 'pyodide.mjs')).href)) as {
    loadPyodide(options: object): Promise<Pyodide>
  }
  const env = { HOME, _: 'python', USER: 'guest', LOGNAME: 'guest' }
  const pyodide = await loadPyodide({ indexURL: directory, env, _sysExecutable: 'python', ...start })
  const { exports, seal } = await booted

  function call(statement: string): boolean {
    const text = Buffer.from(`${statement}\0`)
    const at = exports.malloc(text.length)
    new Uint8Array(exports.memory.buffer).set(text, at)
    const failed = exports.PyRun_SimpleString(at) !== 0
    exports.free(at)
    return !failed
  }

  return { pyodide, exports, seal, call }
}

/** Python has said on standard error what is wrong. */
function must(succeeded: boolean): void {
  if (!succeeded) throw new Error('The prelude failed.')
}

/** Has the next module that is instantiated with CPython's imports get a capped memory and doors that close. */
function intercept(binary: Uint8Array, maxBytes: number, refuse: (name: string) => never) {
  const { promise, resolve } = Promise.withResolvers<{ exports: Exports; seal: () => void }>()
  const { instantiate } = WebAssembly
  WebAssembly.instantiate = (async (source: BufferSource, given: Imports = {}) => {
    if (given['wasi_snapshot_preview1'] === undefined) return await instantiate(source, given)
    WebAssembly.instantiate = instantiate
    const { imports, seal } = sealable(given, refuse)
    const made = await instantiate(withMaximum(binary, Math.ceil(maxBytes / PAGE)), imports)
    resolve({ exports: made.instance.exports as unknown as Exports, seal })
    return made
  }) as typeof instantiate
  return promise
}

/** The module with another maximum of its memory, in pages. Throws where it is not written as Emscripten writes it. */
function withMaximum(binary: Uint8Array, pages: number): Uint8Array<ArrayBuffer> {
  const MEMORY_SECTION = 5
  const patched = new Uint8Array(binary)
  for (let at = 8; at < patched.length;) {
    const section = patched[at]
    const size = readNumber(patched, at + 1)
    if (section === MEMORY_SECTION) {
      // One memory, its flags (1: with a maximum), its initial size.
      const initial = readNumber(patched, size.next + 2)
      if (patched[size.next] !== 1 || patched[size.next + 1] !== 1) break
      writeNumber(
        patched,
        initial.next,
        readNumber(patched, initial.next).next,
        Math.max(pages, initial.value),
      )
      return patched
    }
    at = size.next + size.value
  }
  throw new Error('This version of pyodide does not declare its memory as expected.')
}

/** LEB128. */
function readNumber(bytes: Uint8Array, from: number): { value: number; next: number } {
  let value = 0
  for (let at = from, shift = 0; ; at++, shift += 7) {
    const byte = bytes[at] ?? 0
    value += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return { value, next: at + 1 }
  }
}

/** In exactly the bytes that are there. */
function writeNumber(bytes: Uint8Array, from: number, to: number, value: number): void {
  for (let at = from; at < to; at++) {
    bytes[at] = (value & 0x7f) | (at < to - 1 ? 0x80 : 0)
    value >>>= 7
  }
}

/** The prelude's way to the runner: a device, of which one write is one request, and whose answer is read until its end. */
function connect(fs: GuestFiles, { request }: Surroundings): void {
  let answer: Buffer = Buffer.alloc(0)
  const write: StreamOps['write'] = (_stream, memory, at, length) => {
    answer = request(Buffer.from(memory.buffer, memory.byteOffset + at, length).toString())
    return length
  }
  const read: StreamOps['read'] = (_stream, memory, at, length) => {
    const piece = answer.subarray(0, length)
    answer = answer.subarray(piece.length)
    memory.set(piece, at)
    return piece.length
  }
  const device = fs.makedev(64, 0)
  fs.registerDevice(device, { read, write })
  fs.mkdev('/dev/host', 0o666, device)
}

/** What Pyodide finds of Node. */
function prepare(): void {
  // It asks for the constants, which Node's permissions refuse.
  Object.defineProperty(process, 'binding', { value: () => ({ fs: {} }) })
  // Whoever touches Node's own streams makes the pipes non-blocking, and the runner reads and writes in a blocking way.
  for (const [fd, name] of ['stdin', 'stdout', 'stderr'].entries())
    Object.defineProperty(process, name, { value: { fd } })
}

/**
 * What would be left to a guest that had got behind the seal. Evaluating strings is off by the command line, files and
 * processes by Node's permissions; the network is on in every Node 24.
 */
function disarm(): void {
  const off = () => {
    throw new Error('Not in the sandbox.')
  }
  Object.assign(process, { dlopen: off, kill: off })
  Object.assign(net.Socket.prototype, { connect: off })
  Object.assign(net.Server.prototype, { listen: off })
  Object.assign(dgram.Socket.prototype, { bind: off, connect: off, send: off })
  for (const name of Object.keys(child_process)) Object.assign(child_process, { [name]: off })
  syncBuiltinESMExports()
  for (const name of ['fetch', 'WebSocket', 'EventSource']) Reflect.deleteProperty(globalThis, name)
  for (const name of ['log', 'info', 'debug', 'warn', 'error', 'trace', 'dir'])
    Object.assign(console, { [name]: () => {} })
}
