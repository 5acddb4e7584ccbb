import { afterEach, expect, test } from 'vitest'
import type { Workspaces } from '../../../runtime/workspaces.ts'
import { loadConfig } from '../../../server/config.ts'
import { chooseSandbox, type SandboxChoice } from '../../../tools/sandbox/choose.ts'
import { startTestServer } from '../../support/server.ts'
import { THREAD, workingBackends } from './backends.ts'

const working = await workingBackends()
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

function choose(choice: SandboxChoice) {
  const sandbox = chooseSandbox(choice, { workspaces: {} as Workspaces, spares: 0 })
  closers.push(() => sandbox.close())
  return sandbox
}

async function run(choice: SandboxChoice) {
  const sandbox = await choose(choice).open({ threadId: THREAD, language: 'javascript' })
  try {
    return await sandbox.run('1 + 1')
  } finally {
    await sandbox.close()
  }
}

test('auto takes the strongest that works', async () => {
  const strongest = working.includes('bubblewrap') ? 'bubblewrap' : 'child'
  expect(await run({ backend: 'auto', minimum: 'process' })).toMatchObject({
    status: 'ok',
    isolation: { backend: strongest },
  })
})

test('below the minimum nothing runs, and nothing less takes its place', async () => {
  const choice: SandboxChoice = { backend: 'child', minimum: 'namespace' }
  expect(await run(choice)).toMatchObject({
    status: 'unavailable',
    error: { message: expect.stringContaining('namespace is the least that is allowed') },
    isolation: { backend: 'none' },
  })
  expect(await choose(choice).probe()).toMatchObject({ ok: false })
})

test.runIf(working.includes('bubblewrap'))('a minimum of namespaces is met by bubblewrap', async () => {
  expect(await run({ backend: 'auto', minimum: 'namespace' })).toMatchObject({
    status: 'ok',
    isolation: { backend: 'bubblewrap', level: 'namespace' },
  })
})

test('a setting that contradicts itself is told at start', () => {
  expect(() => loadConfig({ HOLDPOINT_SANDBOX: 'child', HOLDPOINT_SANDBOX_MINIMUM: 'namespace' })).toThrow(
    'HOLDPOINT_SANDBOX=bubblewrap',
  )
  expect(loadConfig({}).sandbox).toEqual({ backend: 'auto', minimum: 'process' })
})

test('the server says at start what is enforced', async () => {
  const server = await startTestServer({ env: { HOLDPOINT_SANDBOX: 'child' } })
  closers.push(() => server.close())
  await expect.poll(() => server.logLines.join(''), { timeout: 15_000 }).toContain('The sandbox of code')
  const line = server.logLines.find((one) => one.includes('The sandbox of code')) ?? ''
  expect(JSON.parse(line)).toMatchObject({
    backend: 'child',
    level: 'info',
    isolation: 'process',
    wall: 'hard',
    network: 'soft',
  })
})
