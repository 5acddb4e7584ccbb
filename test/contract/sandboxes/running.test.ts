import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Services } from '../../../runtime/services.ts'
import { findCgroups } from '../../../tools/sandbox/cgroup.ts'
import type { ToolCallContext } from '../../../tools/define.ts'
import { reachOf } from '../../../tools/capabilities.ts'
import { permit } from '../../../tools/permit.ts'
import { runJavascript } from '../../../tools/run-javascript.ts'
import { runPython } from '../../../tools/run-python.ts'
import { type Language, SANDBOX } from '../../../tools/sandbox/sandbox.ts'
import { LANGUAGES, openStage, type Stage, THREAD, workingBackends } from './backends.ts'
import { JAVASCRIPT_ERRORS, JAVASCRIPT_VALUES } from './javascript-values.ts'
import { PYTHON_ERRORS, PYTHON_VALUES } from './python-values.ts'

// A boot takes the processor for a second, and a machine that tests has others to wait for it.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const SAY = {
  javascript: {
    print: "console.log('a', { b: [1] }, null); console.error(new TypeError('t'))",
    printed: { stdout: 'a {"b":[1]} null\n', stderr: 'TypeError: t\n' },
    write:
      "await writeFile('out/b.txt', 'ü'); const l = await listFiles('out'); [l, await readFile('out/b.txt')]",
    readBinary: "await readFile('binary')",
    lines: "for (let i = 0; i < 50; i++) console.log('line ' + i); console.warn('0123456789'); 1",
    loop: "console.log('before'); for (;;) {}",
    begin: "await writeFile('begun', ''); for (;;) {}",
    pollute: `JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"a":1}')`,
    leave: 'var left = 1; Object.prototype.x = 1; 1',
    left: '[typeof left, typeof {}.x]',
    nothing: ['undefined', 'undefined'],
    fail: 'nope()',
    failure: "ReferenceError: 'nope' is not defined",
    mine: (n: number) =>
      `await writeFile('mine', '${n}'); (await listFiles()).length + ':' + (await readFile('mine'))`,
  },
  python: {
    print: "import sys\nprint('a', {'b': [1]}, None)\nprint('t', file=sys.stderr)",
    printed: { stdout: "a {'b': [1]} None\n", stderr: 't\n' },
    write: "open('out/b.txt', 'w').write('ü')\nl = list_files('out')\n[l, read_file('out/b.txt')]",
    readBinary: "read_file('binary')",
    lines: "import sys\nfor i in range(50): print(f'line {i}')\nprint('0123456789', file=sys.stderr)\n1",
    loop: "print('before')\nwhile True: pass",
    begin: "write_file('begun', '')\nwhile True: pass",
    pollute: '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}, "a": 1}',
    leave:
      "import builtins, json, os, sys\nleft = 1\nbuiltins.x = 1\njson.dumps = None\nsys.modules['y'] = json\nopen('/tmp/z', 'w').write('z')\nos.environ['w'] = '1'\nos.chdir('/tmp')\nsys.stdout.close()\nos.close(2)\n1",
    left: "import os, sys, builtins\n['left' in globals(), hasattr(builtins, 'x'), 'y' in sys.modules, os.path.exists('/tmp/z'), 'w' in os.environ, os.getcwd()]",
    nothing: [false, false, false, false, false, '/home/guest'],
    fail: 'nope()',
    failure: "NameError: name 'nope' is not defined",
    mine: (n: number) => `write_file('mine', '${n}')\nf"{len(list_files())}:{read_file('mine')}"`,
  },
}
const VALUES = { javascript: JAVASCRIPT_VALUES, python: PYTHON_VALUES }
const ERRORS = { javascript: JAVASCRIPT_ERRORS, python: PYTHON_ERRORS }
const TOOLS = { javascript: runJavascript, python: runPython }

describe.for(await workingBackends())('%s', (name) => {
  let stage: Stage

  beforeAll(async () => {
    stage = await openStage(name, { limits: { wallMs: 5_000 } })
    await stage.workspaces.write(THREAD, 'a.csv', Buffer.from('x,y\n1,2\n'))
  })

  afterAll(() => stage.close())

  test('the probe runs code, and says what is enforced', async () => {
    const probed = await stage.backend.probe()
    const outside = name === 'bubblewrap' ? 'hard' : 'soft'
    const cgroups = name === 'bubblewrap' ? findCgroups() : undefined
    await cgroups?.close()
    const together = cgroups === undefined ? 'soft' : 'hard'
    expect(probed).toMatchObject({
      ok: true,
      capabilities: {
        wall: 'hard',
        output: 'hard',
        network: outside,
        filesystem: outside,
        memory: together,
        pids: together,
      },
    })
  })

  describe.for(LANGUAGES)('%s', (language) => {
    const say = SAY[language]
    const run = (...args: Parameters<Stage['run']> extends [Language, ...infer Rest] ? Rest : never) =>
      stage.run(language, ...args)

    test.for(VALUES[language])('the last value of %j comes back', async ([code, value], { expect }) => {
      expect(await run(code)).toMatchObject({ status: 'ok', value, truncated: [] })
    })

    test.for(ERRORS[language])(
      'the error of %j says what and where',
      async ([code, message, line], { expect }) => {
        const { status, error } = await run(code)
        expect(status).toBe('guest_error')
        expect(error?.message).toMatch(message)
        expect(error?.line).toBe(line)
        expect(error?.message).not.toMatch(/\/tools\/|\.ts|prelude|\/tmp\//)
      },
    )

    test('what is printed comes back', async () => {
      expect(await run(say.print)).toMatchObject({ status: 'ok', ...say.printed })
    })

    test('nothing of a run is left for the next one of the same child', async () => {
      expect(await run(say.leave)).toMatchObject({ status: 'ok' })
      expect(await run(say.left)).toMatchObject({ value: say.nothing })
      expect(await run(say.print)).toMatchObject({ status: 'ok', ...say.printed })
    })

    test('files are written, listed and counted, and text alone is text', async () => {
      const result = await run(say.write)
      expect(result).toMatchObject({
        status: 'ok',
        value: [[{ path: 'out/b.txt', size: 2 }], 'ü'],
        files: ['out/b.txt'],
      })
      expect(result.usage.hostCalls).toBe(3)
      await stage.workspaces.write(THREAD, 'binary', Buffer.from([0xff]))
      expect(await run(say.readBinary)).toMatchObject({ status: 'guest_error' })
    })

    test('output over the limit is cut and says so, and comes also with a timeout', async () => {
      const cut = await run(say.lines, { stdoutBytes: 100, stderrBytes: 10 })
      expect(cut).toMatchObject({ status: 'ok', value: 1, truncated: ['stdout', 'stderr'] })
      expect([cut.stdout.length, cut.stderr.length]).toEqual([100, 10])
      const timeout = await run(say.loop, { wallMs: 300 })
      expect(timeout).toMatchObject({ status: 'timeout', stdout: 'before\n', truncated: [] })
    })

    test('a returned __proto__ pollutes nothing', async () => {
      expect((await run(say.pollute)).value).toEqual({ a: 1 })
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    })

    test('an abort ends the run at once', async () => {
      const controller = new AbortController()
      setTimeout(() => controller.abort(), 100)
      expect((await run(say.loop, { wallMs: 20_000 }, controller.signal)).status).toBe('cancelled')
      expect(await run('1', undefined, AbortSignal.abort())).toMatchObject({ status: 'cancelled' })
    })

    test('runs of several threads at the same time do not see each other', async () => {
      const threads = [1, 2, 3].map((n) => `7b1f6b0e-3a52-4c7e-9a51-00000000000${n}`)
      const values = await Promise.all(
        threads.map(async (threadId, n) => {
          await stage.workspaces.clear(threadId)
          const sandbox = await stage.backend.open({ threadId, language })
          const { value, error } = await sandbox.run(say.mine(n))
          await sandbox.close()
          return error ?? value
        }),
      )
      expect(values).toEqual(['1:0', '1:1', '1:2'])
    })

    test('the tool returns the value, and turns what went wrong into what the model can use', async () => {
      const tool = TOOLS[language]
      const services = new Services().with(SANDBOX, stage.backend)
      const signal = AbortSignal.timeout(20_000)
      const call: ToolCallContext = {
        threadId: THREAD,
        callId: 'call-1',
        idempotencyKey: 'key-1',
        attempt: 'attempt-1',
        signal,
        secret: () => '',
        ...reachOf(tool, THREAD, services, signal),
      }
      const use = (code: string) => tool.run({ code }, permit(tool, { ...call }))
      expect(await use('6 * 7')).toEqual({ value: 42, stdout: '' })
      await expect(use(`${say.fail}\n`)).rejects.toMatchObject({
        code: 'INVALID_ARGS',
        message: `${say.failure} (line 1)`,
      })
      await expect(use(say.loop)).rejects.toMatchObject({
        code: 'TIMEOUT',
        message: expect.stringContaining('Printed before:\nbefore'),
      })
      expect(tool.schema.safeParse({ code: '' }).success).toBe(false)
    })

    test('closing the backend ends a run that is going on, and nothing runs after it', async () => {
      const own = await openStage(name, { spares: 0 })
      const sandbox = await own.backend.open({ threadId: THREAD, language })
      const running = sandbox.run(say.begin)
      await expect.poll(() => own.workspaces.list(THREAD), { timeout: 20_000 }).toHaveLength(1)
      await own.close()
      expect(await running).toMatchObject({ status: 'unavailable' })
      expect(await sandbox.run('1')).toMatchObject({ status: 'unavailable' })
    })
  })

  test.skipIf(process.platform !== 'linux')(
    'children end with their parent, also one that is in an endless loop',
    async () => {
      const script = join(import.meta.dirname, 'parent.ts')
      const stdout = await new Promise<string>((resolve) => {
        // It ends by SIGKILL, which is an error to execFile.
        execFile(
          process.execPath,
          [script, name, join(stage.root, 'w')],
          { timeout: 20_000 },
          (_error, out) => resolve(out),
        )
      })
      const pids = stdout.trim().split('\n').map(Number)
      expect(pids.length).toBeGreaterThanOrEqual(2)
      await expect.poll(() => pids.filter(isAlive), { timeout: 12_000 }).toEqual([])
    },
  )
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
