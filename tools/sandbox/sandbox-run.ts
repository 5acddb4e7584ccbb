import { cleanText } from '../clean-text.ts'
import { cutText, MAX_CALL_CHARS } from './frames.ts'
import type { HostCalls } from './host-calls.ts'
import type { DoneFrame, GuestFrame } from './protocol.ts'
import type { RunnerProcess } from './runner-process.ts'
import type { Limits, RunStatus, SandboxResult } from './sandbox.ts'
import { parseUntrusted } from './untrusted-json.ts'

export type RunOutcome = Omit<SandboxResult, 'isolation'>

/**
 * The interpreter stops itself at the deadline and its last words arrive; this much later the process is killed,
 * because a builtin can keep the interpreter from looking at the clock.
 */
const GRACE_MS = 300

/** Runs code in a ready child. Kills the child unless the code ended by itself. */
export function runInChild(
  runner: RunnerProcess,
  hostCalls: HostCalls,
  code: string,
  limits: Limits,
  signal?: AbortSignal,
): Promise<RunOutcome> {
  const startedAt = performance.now()
  const stdout = createOutput(limits.stdoutBytes)
  const stderr = createOutput(limits.stderrBytes)
  const { promise, resolve } = Promise.withResolvers<RunOutcome>()
  let settled = false

  function settle(
    status: RunStatus,
    rest: Partial<Pick<RunOutcome, 'value' | 'error'>>,
    used = { memoryBytes: 0, cpuMs: 0 },
  ): void {
    if (settled) return
    settled = true
    clearTimeout(timer)
    signal?.removeEventListener('abort', cancel)
    if (status !== 'ok' && status !== 'guest_error') runner.kill()
    resolve({
      status,
      value: null,
      ...rest,
      stdout: stdout.text(),
      stderr: stderr.text(),
      truncated: [...(stdout.cut() ? ['stdout' as const] : []), ...(stderr.cut() ? ['stderr' as const] : [])],
      files: hostCalls.files(),
      usage: { wallMs: Math.round(performance.now() - startedAt), hostCalls: hostCalls.count(), ...used },
    })
  }

  const fail = (status: RunStatus, message: string) => settle(status, { error: { message } })
  const cancel = () => fail('cancelled', 'The call was cancelled.')
  const timer = setTimeout(() => {
    fail('timeout', `The code ran for more than ${limits.wallMs} ms.`)
  }, limits.wallMs + GRACE_MS)

  let queue = Promise.resolve()
  let queued = 0

  /**
   * One call at a time. Our runner waits for each answer, so a second call means that the guest has taken the child
   * over; it then is not listened to, and this process does not have to hold all that it says.
   */
  function answer(id: number, name: string, args: string[], ahead: string[]): void {
    queued++
    if (queued > 1) runner.setReading(false)
    queue = queue.then(async () => {
      if (!settled) await answerNow(id, name, args, ahead)
      queued--
      if (queued === 0) runner.setReading(true)
    })
  }

  async function answerNow(id: number, name: string, args: string[], before: string[]): Promise<void> {
    const reply = await hostCalls.answer(name, args, before)
    if ('denied' in reply) return fail('host_call_denied', reply.denied)
    const { ahead, last } = cutText(reply.text)
    // One after the other, so that this process has time for others.
    for (const text of ahead) if (!settled) await runner.send({ type: 'part', id, text })
    if (!settled) await runner.send({ type: 'reply', id, ok: reply.ok, text: last })
  }

  let parts = { id: -1, texts: [] as string[], chars: 0 }

  function keepPart(id: number, text: string): void {
    if (parts.id !== id) parts = { id, texts: [], chars: 0 }
    parts.texts.push(text)
    parts.chars += text.length
    if (parts.chars > MAX_CALL_CHARS) fail('crashed', 'The sandbox process sent too much at once.')
  }

  function takeParts(id: number): string[] {
    const { texts } = parts.id === id ? parts : { texts: [] }
    parts = { id: -1, texts: [], chars: 0 }
    return texts
  }

  function receive(frame: GuestFrame): void {
    if (settled) return
    switch (frame.type) {
      case 'ready':
        return fail('crashed', 'The sandbox process is out of step.')
      case 'part':
        return keepPart(frame.id, frame.text)
      case 'call':
        return answer(frame.id, frame.name, frame.args, takeParts(frame.id))
      case 'print':
        if (frame.stream === 'stdout') return stdout.add(frame.text)
        return stderr.add(frame.text)
      case 'done':
        return finish(frame)
    }
  }

  function finish(frame: DoneFrame): void {
    const used = { memoryBytes: frame.memoryBytes, cpuMs: Math.max(0, frame.cpuMs - runner.usage.cpuMs) }
    runner.usage.cpuMs = frame.cpuMs
    runner.usage.memoryBytes = frame.memoryBytes
    if (frame.status !== 'ok') {
      const message = cleanText(frame.message ?? 'The code failed.')
      return settle(frame.status, { error: { message, line: frame.line } }, used)
    }
    const json = frame.value ?? 'null'
    if (Buffer.byteLength(json) > limits.resultBytes) return fail('output_limit', 'The value is too large.')
    try {
      settle('ok', { value: parseUntrusted(json) }, used)
    } catch {
      fail('guest_error', 'The value is nested too deeply. Return at most 100 levels of arrays and objects.')
    }
  }

  runner.listen(receive, () => fail('crashed', 'The sandbox process sent malformed data.'))
  void runner.ended.then((how) => {
    if (how === 'killed') fail('unavailable', 'The sandbox was closed.')
    // The limit of CPU seconds kills with either.
    else if (how === 'SIGXCPU' || how === 'SIGKILL')
      fail('timeout', 'The code used too much CPU time or memory.')
    else fail('crashed', `The sandbox process ended (${how}).`)
  })
  signal?.addEventListener('abort', cancel, { once: true })
  runner.usage.runs++
  if (signal?.aborted) cancel()
  else void runner.send({ type: 'run', code, limits })
  return promise
}

/** Text up to a number of bytes; what is over is dropped. */
function createOutput(maxBytes: number) {
  const pieces: Buffer[] = []
  let bytes = 0
  return {
    add(text: string): void {
      if (bytes > maxBytes) return
      const piece = Buffer.from(text)
      pieces.push(piece)
      bytes += piece.length
    },
    cut: () => bytes > maxBytes,
    // A character that was cut in two at the end becomes U+FFFD.
    text: () => cleanText(Buffer.concat(pieces).subarray(0, maxBytes).toString()),
  }
}
