import { expect, test } from 'vitest'
import type { Workspaces } from '../../../runtime/workspaces.ts'
import { createHostCalls } from '../../../tools/sandbox/host-calls.ts'
import { parseGuestFrame } from '../../../tools/sandbox/protocol.ts'
import type { RunnerProcess } from '../../../tools/sandbox/runner-process.ts'
import { runInChild } from '../../../tools/sandbox/sandbox-run.ts'
import { DEFAULT_LIMITS } from '../../../tools/sandbox/sandbox.ts'
import { THREAD } from './call-context.ts'

/** A child that was taken over by its guest, and says whatever it likes when it gets code. */
function takenOver(say: (speak: (frame: unknown) => void, malformed: () => void) => void) {
  const state = { killed: false }
  let onFrame: Parameters<RunnerProcess['listen']>[0] = () => {}
  let onMalformed = () => {}
  const runner: RunnerProcess = {
    ready: Promise.resolve(),
    ended: new Promise(() => {}),
    send: async ({ type }) => {
      if (type === 'run') say((frame) => onFrame(parseGuestFrame(JSON.stringify(frame))), onMalformed)
    },
    listen: (frames, malformed) => void ([onFrame, onMalformed] = [frames, malformed]),
    setReading() {},
    setIdle() {},
    kill: () => void (state.killed = true),
    limits: { cpuMs: 1_000, memoryBytes: 0 },
    usage: { runs: 0, cpuMs: 0, memoryBytes: 0 },
  }
  return { runner, state }
}

const workspaces = {} as Workspaces
const done = { type: 'done', status: 'ok', memoryBytes: 0, cpuMs: 0 }
const limits = { ...DEFAULT_LIMITS.javascript, wallMs: 10, stdoutBytes: 10, hostCalls: 3 }

test.for<[what: string, frames: unknown[], status: string]>([
  ['asks for what is not offered', [{ type: 'call', id: 1, name: 'exec', args: ['x'] }], 'host_call_denied'],
  [
    'asks for an inherited name',
    [{ type: 'call', id: 1, name: 'constructor', args: [] }],
    'host_call_denied',
  ],
  ['says that it is ready again', [{ type: 'ready' }], 'crashed'],
  ['says nothing', [], 'timeout'],
  ['returns too much', [{ ...done, value: `"${'x'.repeat(300_000)}"` }], 'output_limit'],
  ['returns what is no JSON', [{ ...done, value: '{' }], 'guest_error'],
  ['returns what is nested too deeply', [{ ...done, value: '['.repeat(250_000) }], 'guest_error'],
])('a child that %s is stopped', async ([, frames, status]) => {
  const { runner, state } = takenOver((speak) => frames.forEach(speak))
  const outcome = await runInChild(runner, createHostCalls(workspaces, THREAD, 3), '1', limits)
  expect(outcome).toMatchObject({ status, value: null })
  expect(state.killed).toBe(status !== 'guest_error')
})

test('a child whose bytes are no frames is stopped', async () => {
  const { runner, state } = takenOver((_speak, malformed) => malformed())
  const outcome = await runInChild(runner, createHostCalls(workspaces, THREAD, 3), '1', limits)
  expect([outcome.status, state.killed]).toEqual(['crashed', true])
})

test('of what a child prints no more than the limit is kept, and nothing after its end', async () => {
  const print = { type: 'print', stream: 'stdout', text: '0123456' }
  const { runner } = takenOver((speak) =>
    [print, print, print, { ...done, value: '1' }, print, done].forEach(speak),
  )
  const outcome = await runInChild(runner, createHostCalls(workspaces, THREAD, 3), '1', limits)
  expect(outcome).toMatchObject({ status: 'ok', value: 1, stdout: '0123456012', truncated: ['stdout'] })
})
