import { setImmediate as immediate } from 'node:timers/promises'
import { z } from 'zod'
import { RuntimeError } from '../../runtime/errors.ts'
import type { Workspaces } from '../../runtime/workspaces.ts'

/** What a guest may ask of the host, for one run. */
export interface HostCalls {
  /** `ahead`: what the last argument begins with. `denied`: the guest asked for what it may not, or too often, and the run must end. */
  answer(
    name: string,
    args: string[],
    ahead?: string[],
  ): Promise<{ ok: boolean; text: string } | { denied: string }>
  count(): number
  /** Paths written. */
  files(): string[]
}

const path = z.string().max(1024)
const calls = {
  readFile: z.tuple([path]),
  writeFile: z.tuple([path, z.string()]),
  /** As the two above, in base64. */
  readBytes: z.tuple([path]),
  writeBytes: z.tuple([path, z.string()]),
  listFiles: z.tuple([path]),
}

const TAKES_MUCH = new Set<string>(['writeFile', 'writeBytes'] satisfies (keyof typeof calls)[])

export function createHostCalls(workspaces: Workspaces, threadId: string, limit: number): HostCalls {
  const written = new Set<string>()
  let count = 0

  async function write(path: string, bytes: Uint8Array): Promise<string> {
    const { size } = await workspaces.write(threadId, path, bytes)
    written.add(path)
    return JSON.stringify({ path, size })
  }

  async function perform(name: keyof typeof calls, args: string[], ahead: string[]): Promise<string> {
    switch (name) {
      case 'readFile': {
        const [path] = calls.readFile.parse(args)
        const { bytes } = await workspaces.read(threadId, path)
        return decode(bytes, path)
      }
      case 'readBytes': {
        const [path] = calls.readBytes.parse(args)
        const { bytes } = await workspaces.read(threadId, path)
        return Buffer.from(bytes).toString('base64')
      }
      case 'writeFile': {
        const [path, content] = calls.writeFile.parse(args)
        return await write(path, await encode([...ahead, content], 'utf8'))
      }
      case 'writeBytes': {
        const [path, content] = calls.writeBytes.parse(args)
        return await write(path, await encode([...ahead, content], 'base64'))
      }
      case 'listFiles': {
        const [path] = calls.listFiles.parse(args)
        const files = await workspaces.list(threadId, path)
        return JSON.stringify(files.map((file) => ({ path: file.path, size: file.size })))
      }
    }
  }

  async function answer(name: string, args: string[], ahead: string[] = []) {
    count++
    if (count > limit)
      return { denied: `The code made more than ${limit} file calls. Read and write fewer, larger files.` }
    if (!isCall(name) || (ahead.length > 0 && !TAKES_MUCH.has(name)))
      return { denied: 'The code asked for something that the sandbox does not offer.' }
    try {
      return { ok: true, text: await perform(name, args, ahead) }
    } catch (error) {
      return { ok: false, text: explain(error) }
    }
  }

  return { answer, count: () => count, files: () => [...written] }
}

/** Piece by piece, so that this process has time for others. */
async function encode(pieces: string[], encoding: 'utf8' | 'base64'): Promise<Buffer> {
  const encoded: Buffer[] = []
  for (const piece of pieces) {
    encoded.push(Buffer.from(piece, encoding))
    await immediate()
  }
  const whole = Buffer.allocUnsafe(encoded.reduce((bytes, piece) => bytes + piece.length, 0))
  let at = 0
  for (const piece of encoded) {
    at += piece.copy(whole, at)
    await immediate()
  }
  return whole
}

function isCall(name: string): name is keyof typeof calls {
  return Object.hasOwn(calls, name)
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new RuntimeError('invalid_input', `${path} is not UTF-8 text. readFile() reads text alone.`, {
      cause,
    })
  }
}

/** Anything but our own words may name paths of the host. */
function explain(error: unknown): string {
  if (error instanceof RuntimeError) return error.message
  if (error instanceof z.ZodError) return 'The arguments of the file call are wrong.'
  return 'The file call failed.'
}
