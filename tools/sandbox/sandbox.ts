import { serviceKey } from '../../runtime/services.ts'
import type { Json } from '../../runtime/json.ts'

export type Language = 'javascript' | 'python'

/** A way to run code that nobody trusts. Whoever creates a backend closes it. */
export interface SandboxBackend {
  readonly id: string
  readonly level: Level
  /** Runs something for real: that a binary or a package is there says nothing. */
  probe(): Promise<Probed>
  open(options: { threadId: string; language: Language; limits?: Partial<Limits> }): Promise<Sandbox>
  close(): Promise<void>
}

export type Probed = { ok: true; capabilities: Capabilities } | { ok: false; reason: string }

/** One thread's sandbox. Nothing survives from one run to the next but the files of the workspace. */
export interface Sandbox {
  /** Never rejects: what went wrong is in the result. One run at a time. */
  run(code: string, options?: { signal?: AbortSignal }): Promise<SandboxResult>
  close(): Promise<void>
}

/** How many files and bytes a workspace may hold is the workspace's own limit (runtime/workspaces.ts). */
export interface Limits {
  wallMs: number
  /** What a run may use at least; the process that it runs in never gets twice as much. */
  cpuMs: number
  /** Bytes that the guest can allocate. */
  memoryBytes: number
  stdoutBytes: number
  stderrBytes: number
  /** Of the value as JSON. */
  resultBytes: number
  hostCalls: number
}

const MIB = 1024 * 1024

const LIMITS: Limits = {
  wallMs: 8_000,
  cpuMs: 16_000,
  memoryBytes: 64 * MIB,
  stdoutBytes: 64 * 1024,
  stderrBytes: 64 * 1024,
  resultBytes: 256 * 1024,
  hostCalls: 200,
}

export const DEFAULT_LIMITS: Record<Language, Limits> = {
  javascript: LIMITS,
  // Of which CPython has 30 before it runs anything.
  python: { ...LIMITS, memoryBytes: 256 * MIB },
}

export type RunStatus =
  | 'ok'
  | 'guest_error'
  | 'timeout'
  | 'memory'
  | 'output_limit'
  | 'host_call_denied'
  | 'crashed'
  | 'cancelled'
  | 'unavailable'

export interface SandboxResult {
  status: RunStatus
  /** `null` unless `status` is `ok`. */
  value: Json
  /** What to tell whoever wrote the code; absent when `status` is `ok`. */
  error?: { message: string; line?: number }
  stdout: string
  stderr: string
  truncated: ('stdout' | 'stderr')[]
  /** Paths written, whatever the status. */
  files: string[]
  usage: { wallMs: number; cpuMs: number; hostCalls: number; memoryBytes: number }
  isolation: Isolation
}

/** What stands around the interpreter, from the least to the most: a policy's minimum is compared in this order. */
export const LEVELS = ['process', 'namespace', 'vm', 'remote'] as const
export type Level = (typeof LEVELS)[number]

export interface Isolation {
  backend: string
  /** The interpreter and its version. */
  version: string
  level: Level
}

/**
 * `hard`: kept from outside, by this process or the kernel, whatever the guest becomes. `soft`: it holds as long as the
 * interpreter does.
 */
export type Enforcement = 'hard' | 'soft' | 'none'

export type Capabilities = Record<
  'wall' | 'cpu' | 'memory' | 'network' | 'filesystem' | 'pids' | 'output',
  Enforcement
>

export const SANDBOX = serviceKey<SandboxBackend>('sandbox')
