import { existsSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import type { Limits } from '../../../tools/sandbox/sandbox.ts'
import { LANGUAGES, openStage, type Stage, workingBackends } from './backends.ts'
import { newId } from '../../../runtime/ids.ts'
import { JAVASCRIPT_ATTACKS } from './javascript-attacks.ts'
import { PYTHON_ATTACKS } from './python-attacks.ts'

/** A sandbox mostly waits: for its time to be over, and for the next process to boot. */
const AT_A_TIME = 4

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000, maxConcurrency: AT_A_TIME })

const ATTACKS = { javascript: JAVASCRIPT_ATTACKS, python: PYTHON_ATTACKS }
const SECRET = 'the-secret-of-the-host'
/** What an attack may keep this process's thread busy for at a time, with the others that run beside it. */
const REACH_MS = 25
/** A collection of garbage can do so as well: what the attack does, it does each time. */
const TRIES = 5

// The attacks are on the same runners, so each change has them behind the strongest boundary that there is here.
const backends = (await workingBackends()).slice(inject('services').all ? 0 : -1)
const cases = backends.flatMap((backend) => LANGUAGES.map((language) => ({ backend, language })))

describe.for(cases)('$language in $backend', ({ backend, language }) => {
  let stage: Stage
  let listener: Server
  let port: number
  let connections = 0
  /** Each attack has a thread to itself, whose files are as they were for the one before. */
  const threads: string[] = []

  beforeAll(async () => {
    stage = await openStage(backend, { spares: AT_A_TIME })
    await writeFile(join(stage.root, 'secret'), SECRET)
    process.env['SANDBOX_TEST_SECRET'] = SECRET
    for (let n = 0; n < AT_A_TIME; n++) {
      const threadId = newId()
      await stage.workspaces.write(threadId, 'a.csv', Buffer.from('x,y\n1,2\n'))
      await symlink(join(stage.root, 'secret'), join(stage.root, 'workspaces', threadId, 'link'))
      threads.push(threadId)
    }
    listener = createServer((socket) => void (connections++, socket.destroy()))
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    ;({ port } = listener.address() as AddressInfo)
    expect(await stage.run(language, '1 + 1')).toMatchObject({ status: 'ok', value: 2 })
  })

  afterAll(async () => {
    delete process.env['SANDBOX_TEST_SECRET']
    listener.close()
    await stage.close()
  })

  test.concurrent.for(Object.entries(ATTACKS[language]))(
    'contained: %s',
    async ([, [attack, ...allowed]], { expect, onTestFinished }) => {
      const threadId = threads.pop()
      if (threadId === undefined) throw new Error('More attacks run at a time than there are threads.')
      onTestFinished(() => void threads.push(threadId))
      const run = (code: string, limits?: Partial<Limits>) =>
        stage.run(language, code, limits, undefined, threadId)
      const code = attack.replaceAll('$PORT', String(port)).replaceAll('$ROOT', stage.root)
      // Where running out of time is no answer, a slow machine must not give it.
      const limits = { wallMs: allowed.includes('timeout') ? 200 : 30_000 }
      const rss = process.memoryUsage.rss()
      let ms = Infinity
      for (let left = TRIES; left > 0 && ms > REACH_MS; left--) {
        const { result, ms: longest, took } = await busy(() => run(code, limits))
        ms = Math.min(ms, longest)
        expect(allowed, JSON.stringify(result).slice(0, 500)).toContain(result.status)
        expect(JSON.stringify(result)).not.toContain(SECRET)
        expect(took).toBeLessThan(limits.wallMs + 12_000)
      }
      expect(ms).toBeLessThanOrEqual(REACH_MS)
      expect(process.memoryUsage.rss() - rss, 'bytes that this process grew by').toBeLessThan(400e6)
      expect(connections).toBe(0)
      expect(existsSync(join(stage.root, 'escaped'))).toBe(false)
      expect(await run('1 + 1')).toMatchObject({ status: 'ok', value: 2, files: [] })
    },
  )
})

/**
 * The longest time that this thread was busy without coming back to its timers while it waits for `work`, in time of the
 * processor: how long other processes keep it waiting is not the attack's doing.
 */
async function busy<T>(work: () => Promise<T>): Promise<{ result: T; ms: number; took: number }> {
  const startedAt = performance.now()
  let [ms, before] = [0, used()]
  const look = () => {
    const now = used()
    ms = Math.max(ms, now - before)
    before = now
  }
  const timer = setInterval(look, 5)
  try {
    const result = await work()
    // The last of it is seen by the tick after it.
    await sleep(10)
    look()
    return { result, ms, took: performance.now() - startedAt }
  } finally {
    clearInterval(timer)
  }
}

/** Milliseconds of the processor. */
function used(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}
