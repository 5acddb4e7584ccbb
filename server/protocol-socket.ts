import { HTTPException } from 'hono/http-exception'
import type { WSContext, WSEvents } from 'hono/ws'
import type { WebSocketLike } from '@hono/node-server'
import { type FrameFilter, matches, readFrames, type ThreadFrame } from '../runtime/follow-thread.ts'
import { RuntimeError } from '../runtime/errors.ts'
import { newId } from '../runtime/ids.ts'
import type { Log } from '../runtime/ports.ts'
import { CommandError, parse, refusal } from './command-error.ts'
import { answerCommand, checkRead, type CommandPorts, Envelope, type Sender } from './commands.ts'
import { isTooDeep, MAX_DEPTH } from './depth.ts'
import { Filter, filterOf } from './routes/protocol.ts'
import { HEARTBEAT_MS } from './sse.ts'

/** Commands that one connection may have waiting. */
const MAX_WAITING = 100
const MAX_SUBSCRIPTIONS = 100
/**
 * A client opens its subscriptions one by one, and stops listening at the end of a run. Were the first one sent a whole
 * short run before the second is heard, the second would never be read.
 */
const MORE_COMMANDS_MS = 50
/** "The server goes": clients come back. */
const RESTARTING = 1012

/** The raw socket, as far as `ws` has more than hono says. */
interface Raw {
  send(text: string, done: (error?: Error) => void): void
  ping(): void
  terminate(): void
}

/**
 * One WebSocket of event streaming v2: commands in, answers and frames out, all in one order. A frame is sent once,
 * however many subscriptions match it; a later subscription is first sent what it missed. Nothing is read for a client
 * that has not taken what it was sent. `end`, for whoever knows that there will be no connection: it lets go of all, once.
 */
export function protocolSocket(
  ports: CommandPorts & { log: Log },
  threadId: string,
  sender: Sender,
  close: () => void,
): WSEvents<WebSocketLike> & { end: () => void } {
  const gone = new AbortController()
  const waiting: Envelope[] = []
  let wake = () => {}
  const subscriptions = new Map<string, FrameFilter>()
  const reader = readFrames(ports, threadId)
  let through = -1
  const end = () => {
    if (gone.signal.aborted) return
    gone.abort()
    reader.close()
    close()
    wake()
  }

  const run = async (ws: WSContext<WebSocketLike>) => {
    const raw = ws.raw as unknown as Raw
    const send = (text: string) =>
      new Promise<void>((done) =>
        raw.send(text, (error) => {
          if (error) end()
          done()
        }),
      )
    let asked = false
    const sendFrames = async (frames: ThreadFrame[], filters: FrameFilter[]) => {
      // The thread may not have been there when the connection was opened.
      if (!asked && frames.length > 0) await checkRead(ports, threadId, sender.caller)
      asked ||= frames.length > 0
      for (const frame of frames)
        if (filters.some((filter) => matches(frame, filter)) && !gone.signal.aborted) await send(frame.json)
    }
    const subscribe = async (command: Envelope) => {
      const filter = filterOf(parse(Filter, command.params ?? {}))
      if (subscriptions.size >= MAX_SUBSCRIPTIONS)
        throw new CommandError(
          'invalid_argument',
          `${MAX_SUBSCRIPTIONS} subscriptions are open. Unsubscribe from some.`,
        )
      const id = newId()
      await send(JSON.stringify({ type: 'success', id: command.id, result: { subscription_id: id } }))
      if (through >= 0) await replay(filter)
      subscriptions.set(id, filter)
    }
    /** Returns when there is another command, or after `ms`. */
    const anotherCommand = async (ms: number) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, ms)
      wake = resolve
      if (waiting.length === 0 && !gone.signal.aborted) await promise
      clearTimeout(timer)
      wake = () => {}
    }
    /** What the connection is past already. */
    const replay = async (filter: FrameFilter) => {
      const missed = readFrames(ports, threadId)
      try {
        while (!gone.signal.aborted) {
          const batch = await missed.read()
          await sendFrames(batch?.filter(({ seq }) => seq <= through) ?? [], [filter])
          if (batch === undefined || batch.some(({ seq }) => seq >= through)) return
        }
      } finally {
        missed.close()
      }
    }
    const carryOut = async (command: Envelope) => {
      try {
        if (command.method === 'subscription.subscribe') return await subscribe(command)
        if (command.method === 'subscription.unsubscribe') {
          const id = command.params?.['subscription_id']
          if (typeof id !== 'string' || !subscriptions.delete(id))
            throw new CommandError('no_such_subscription', 'This connection has no such subscription.')
          return await send(JSON.stringify({ type: 'success', id: command.id, result: {} }))
        }
        await send(await answerCommand(ports, threadId, command, sender))
      } catch (error) {
        await send(refusal(command.id, told(error, ports.log)))
      }
    }

    let sentAt = performance.now()
    while (!gone.signal.aborted) {
      for (let command = waiting.shift(); command; command = waiting.shift()) {
        await carryOut(command)
        if (command.method === 'subscription.subscribe') await anotherCommand(MORE_COMMANDS_MS)
      }
      // Without a subscription nothing is read, so that the first one begins at the beginning.
      const batch = subscriptions.size === 0 && through < 0 ? undefined : await reader.read()
      await sendFrames(batch ?? [], [...subscriptions.values()])
      through = batch?.at(-1)?.seq ?? through
      if (performance.now() - sentAt > HEARTBEAT_MS) {
        raw.ping()
        sentAt = performance.now()
      }
      if (batch === undefined && waiting.length === 0 && !gone.signal.aborted) {
        const command = new AbortController()
        wake = () => command.abort()
        const signal = AbortSignal.any([gone.signal, command.signal])
        await reader.news({ timeoutMs: HEARTBEAT_MS, signal })
        wake = () => {}
      }
    }
  }

  return {
    onOpen(_event, ws) {
      const raw = ws.raw as unknown as Raw
      const stop = () => {
        ws.close(RESTARTING, 'The server restarts.')
        raw.terminate()
        end()
      }
      ports.closing.addEventListener('abort', stop, { once: true, signal: gone.signal })
      run(ws).catch((error: unknown) => {
        ports.log.error('A WebSocket failed', { thread_id: threadId, cause: String(error) })
        ws.close(1011, 'Internal error. Connect again.')
        end()
      })
    },
    onMessage({ data }, ws) {
      const envelope = Envelope.safeParse(json(data))
      if (!envelope.success) {
        const what = `Send {"id": number, "method": text, "params": object}, at most ${MAX_DEPTH} levels deep.`
        ws.send(refusal(null, new CommandError('invalid_argument', what)))
      } else if (waiting.length >= MAX_WAITING) {
        ws.close(1008, 'Too many commands at once.')
        end()
      } else {
        waiting.push(envelope.data)
        wake()
      }
    },
    onClose: end,
    onError: end,
    end,
  }
}

/** `undefined` for what is no command: bytes, no JSON, or JSON too deep to be read. */
function json(data: unknown): unknown {
  try {
    return typeof data === 'string' && !isTooDeep(data) ? JSON.parse(data) : undefined
  } catch {
    return undefined
  }
}

/** On a connection nothing but a message can say what went wrong. */
function told(error: unknown, log: Log): CommandError {
  if (error instanceof CommandError) return error
  if (error instanceof RuntimeError) return new CommandError('invalid_argument', error.message)
  if (error instanceof HTTPException && (error.status === 401 || error.status === 403))
    return new CommandError('permission_denied', error.message)
  log.error('A command failed', { cause: String(error) })
  return new CommandError('unknown_error', 'Internal error. The server log has the cause.')
}
