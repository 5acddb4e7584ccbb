import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import {
  type JSONRPCMessage,
  ReadBuffer,
  serializeMessage,
  type Transport,
} from '@modelcontextprotocol/client'

/** Bytes of one message, and of what has come of the next. */
const MAX_MESSAGE = 4 * 1024 * 1024

export interface StdioOptions {
  command: string
  args: string[]
  cwd: string
  /** All of it: nothing is inherited. */
  env: Record<string, string>
}

/**
 * A server that is a child of ours. The SDK's own transport would hand it `HOME`, `PATH`, `USER` and more; this one gives
 * what it is told. The child leads a process group, which is killed as a whole: `npx` and shells leave servers behind.
 */
export class StdioTransport implements Transport {
  onclose?: () => void
  onerror?: (error: Error) => void
  onmessage?: (message: JSONRPCMessage) => void
  readonly #options: StdioOptions
  readonly #buffer = new ReadBuffer({ maxBufferSize: MAX_MESSAGE })
  #child: ChildProcessByStdio<Writable, Readable, null> | undefined

  constructor(options: StdioOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const { command, args, cwd, env } = this.#options
    const program = command === 'node' ? process.execPath : command
    const child = spawn(program, args, { cwd, env, stdio: ['pipe', 'pipe', 'ignore'], detached: true })
    this.#child = child
    child.stdout.on('data', (chunk: Buffer) => this.#take(chunk))
    // A server that is gone does not read: the request that waits for it is ended by `onclose`.
    child.stdin.on('error', () => {})
    const started = Promise.withResolvers<void>()
    child.once('spawn', started.resolve)
    child.once('error', started.reject)
    // What it has started is in its group, and would stay.
    child.once('exit', () => this.#kill())
    child.once('close', () => this.#ended())
    await started.promise
  }

  async send(message: JSONRPCMessage): Promise<void> {
    const stdin = this.#child?.stdin
    if (stdin === undefined || !stdin.writable) throw new Error('The MCP server is gone.')
    if (!stdin.write(serializeMessage(message)))
      await new Promise<void>((done) => {
        stdin.once('drain', done)
        stdin.once('close', done)
      })
  }

  close(): Promise<void> {
    this.#kill()
    this.#ended()
    return Promise.resolve()
  }

  #take(chunk: Buffer): void {
    try {
      this.#buffer.append(chunk)
      for (let message = this.#buffer.readMessage(); message !== null; message = this.#buffer.readMessage())
        this.onmessage?.(message)
    } catch (error) {
      this.onerror?.(error instanceof Error ? error : new Error(String(error)))
      this.#kill()
    }
  }

  #kill(): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // It has ended by itself, and everything that it started.
    }
  }

  #ended(): void {
    if (this.#child === undefined) return
    this.#child = undefined
    this.#buffer.clear()
    this.onclose?.()
  }
}
