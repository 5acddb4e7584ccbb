import { existsSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Language, SandboxResult } from '../../../tools/sandbox/sandbox.ts'
import { LANGUAGES, openStage, type Stage, THREAD, workingBackends } from './backends.ts'
import { JAVASCRIPT_ATTACKS } from './javascript-attacks.ts'
import { PYTHON_ATTACKS } from './python-attacks.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const ATTACKS = { javascript: JAVASCRIPT_ATTACKS, python: PYTHON_ATTACKS }
const SECRET = 'the-secret-of-the-host'
const IDLE_MS = 1_000
/** What an attack may add to the longest delay of an idle event loop. */
const REACH_MS = 20
/** Another process of this machine can hold it up as well: what the attack does, it does each time. */
const TRIES = 5

const cases = (await workingBackends()).flatMap((backend) =>
  LANGUAGES.map((language) => ({ backend, language })),
)

describe.for(cases)('$language in $backend', ({ backend, language }) => {
  let stage: Stage
  let listener: Server
  let port: number
  let connections = 0
  let idleMs: number

  beforeAll(async () => {
    stage = await openStage(backend)
    await writeFile(join(stage.root, 'secret'), SECRET)
    process.env['SANDBOX_TEST_SECRET'] = SECRET
    await stage.workspaces.write(THREAD, 'a.csv', Buffer.from('x,y\n1,2\n'))
    await symlink(join(stage.root, 'secret'), join(stage.root, 'workspaces', THREAD, 'link'))
    listener = createServer((socket) => void (connections++, socket.destroy()))
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    ;({ port } = listener.address() as AddressInfo)
    expect(await stage.run(language, '1 + 1')).toMatchObject({ status: 'ok', value: 2 })
    idleMs = (await delayed(() => sleep(IDLE_MS))).ms
  })

  afterAll(async () => {
    delete process.env['SANDBOX_TEST_SECRET']
    listener.close()
    await stage.close()
  })

  test.for(Object.entries(ATTACKS[language]))(
    'contained: %s',
    async ([, [attack, ...allowed]], { expect }) => {
      const code = attack.replaceAll('$PORT', String(port)).replaceAll('$ROOT', stage.root)
      // Where running out of time is no answer, a slow machine must not give it.
      const limits = { wallMs: allowed.includes('timeout') ? 200 : 8_000 }
      const rss = process.memoryUsage.rss()
      let ms = Infinity
      for (let left = TRIES; left > 0 && ms > idleMs + REACH_MS; left--) {
        if (left < TRIES) idleMs = Math.max(idleMs, (await delayed(() => sleep(IDLE_MS))).ms)
        const { result, ms: longest, took } = await delayed(() => stage.run(language, code, limits))
        ms = Math.min(ms, longest)
        expect(allowed, JSON.stringify(result).slice(0, 500)).toContain(result.status)
        expect(JSON.stringify(result)).not.toContain(SECRET)
        expect(took).toBeLessThan(limits.wallMs + 12_000)
      }
      expect(ms, `idle: ${idleMs} ms`).toBeLessThanOrEqual(idleMs + REACH_MS)
      expect(process.memoryUsage.rss() - rss, 'bytes that this process grew by').toBeLessThan(400e6)
      expect(connections).toBe(0)
      expect(existsSync(join(stage.root, 'escaped'))).toBe(false)
      expect(await untouched(stage, language)).toMatchObject({ status: 'ok', value: 2, files: [] })
    },
  )
})

function untouched(stage: Stage, language: Language): Promise<SandboxResult> {
  return stage.run(language, '1 + 1')
}

/** The longest delay of this process's event loop while it waits for `work`. */
async function delayed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number; took: number }> {
  const histogram = monitorEventLoopDelay({ resolution: 5 })
  const startedAt = performance.now()
  histogram.enable()
  try {
    const result = await work()
    // A last delay is seen by the tick after it.
    await sleep(10)
    return { result, ms: histogram.max / 1e6, took: performance.now() - startedAt }
  } finally {
    histogram.disable()
  }
}
