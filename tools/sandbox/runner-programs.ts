import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Language, Limits } from './sandbox.ts'

/** A program that runs guest code: Node with arguments that close what Node can close. */
export interface Program {
  /** The executable and its arguments. */
  command: string[]
  /** Files and directories that it reads, the executable apart. */
  reads: string[]
  /** Bytes of private memory beyond which the kernel gives it no more. */
  dataBytes: number
}

/** Limits that a program is started with, and that hold for all its runs. */
export type StartLimits = Pick<Limits, 'cpuMs' | 'memoryBytes'>

const MIB = 1024 * 1024
/** Of V8's own heap, beside the guest's memory: room for the largest file on its way through. */
const HEAP_MB = 256
/** Of V8's stack, within the 8 MB that a main thread has: QuickJS's parser and CPython's calls recurse on it. */
const STACK_KB = 3_900
/** What Node reserves before it runs anything: below 400 MB it does not start. */
const NODE_BYTES = 700 * MIB

const COMMON = ['runner-output', 'frames']
const CORE = 'quickjs-emscripten-core'
const FFI = '@jitl/quickjs-ffi-types'
const WASM = '@jitl/quickjs-wasmfile-release-sync'
const PYODIDE = 'pyodide'

const require = createRequire(import.meta.url)

/** The interpreter's. */
export function versionOf(language: Language): string {
  const name = language === 'javascript' ? WASM : PYODIDE
  return (require(`${name}/package.json`) as { version: string }).version
}

/** `snapshot`: of python-snapshot.ts. */
export function programOf(language: Language, limits: StartLimits, snapshot?: string): Program {
  return language === 'javascript' ? javascript(limits) : python('runner', limits, snapshot)
}

export function snapshotProgram(limits: StartLimits): Program {
  return python('snapshotter', limits)
}

function javascript({ memoryBytes }: StartLimits): Program {
  const files = [...['runner', 'guest', 'prelude'].map((part) => `quickjs-${part}`), ...COMMON].map(ours)
  const directories = [
    ...packageDirectories(require, CORE),
    ...packageDirectories(require, WASM),
    ...packageDirectories(createRequire(require.resolve(CORE)), FFI),
  ]
  return node([...files, ...directories], [files[0] ?? '', require.resolve(`${WASM}/wasm`)], memoryBytes)
}

function python(name: 'runner' | 'snapshotter', { memoryBytes }: StartLimits, snapshot?: string): Program {
  const parts = [name, 'boot', 'files', 'prelude', 'seal'].map((part) => `python-${part}`)
  const files = [...parts, ...COMMON].map(ours)
  const directories = packageDirectories(require, PYODIDE)
  // It imports ws, which it then has no leave to use.
  const ws = packageDirectories(createRequire(require.resolve(`${PYODIDE}/package.json`)), 'ws')
  const made = snapshot === undefined ? [] : [snapshot]
  return node(
    [...files, ...directories, ...ws, ...made],
    [
      '--disallow-code-generation-from-strings',
      files[0] ?? '',
      directories[0] ?? '',
      String(memoryBytes),
      ...made,
    ],
    memoryBytes,
  )
}

function node(reads: string[], rest: string[], memoryBytes: number): Program {
  const command = [
    process.execPath,
    '--permission',
    ...reads.map((path) => `--allow-fs-read=${path}`),
    `--max-old-space-size=${HEAP_MB}`,
    `--stack-size=${STACK_KB}`,
    '--no-warnings',
    ...rest,
  ]
  return { command, reads, dataBytes: NODE_BYTES + HEAP_MB * MIB + memoryBytes }
}

function ours(name: string): string {
  return fileURLToPath(new URL(name + extname(fileURLToPath(import.meta.url)), import.meta.url))
}

/** Where a package is found and where it is: two places where it is linked, as pnpm does. Node asks for leave at both. */
function packageDirectories(from: NodeJS.Require, name: string): string[] {
  const found = from.resolve.paths(name)?.map((path) => join(path, name))
  const directory = found?.find((path) => existsSync(path))
  return directory === undefined ? [] : [...new Set([directory, realpathSync(directory)])]
}
