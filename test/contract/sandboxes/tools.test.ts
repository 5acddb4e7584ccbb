import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { Services } from '../../../runtime/services.ts'
import { WORKSPACES } from '../../../runtime/workspaces.ts'
import type { ToolCallContext } from '../../../tools/define.ts'
import { reachOf } from '../../../tools/capabilities.ts'
import { permit } from '../../../tools/permit.ts'
import { readFile } from '../../../tools/read-file.ts'
import { runJavascript } from '../../../tools/run-javascript.ts'
import { runPython } from '../../../tools/run-python.ts'
import { SANDBOX } from '../../../tools/sandbox/sandbox.ts'
import { searchFiles } from '../../../tools/search-files.ts'
import { openStage, type Stage, THREAD } from './backends.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let stage: Stage
let call: ToolCallContext

beforeAll(async () => {
  stage = await openStage('child')
  const services = new Services().with(SANDBOX, stage.backend).with(WORKSPACES, stage.workspaces)
  const signal = AbortSignal.timeout(120_000)
  call = {
    threadId: THREAD,
    callId: 'call/1',
    idempotencyKey: 'key-1',
    attempt: 'attempt-1',
    signal,
    secret: () => '',
    ...reachOf(searchFiles, THREAD, services, signal),
  }
})

afterAll(() => stage.close())

const search = (args: Parameters<typeof searchFiles.run>[0]) =>
  searchFiles.run(args, permit(searchFiles, { ...call }))

test('lines are found by a literal text and by an expression, in every text file', async () => {
  await stage.workspaces.write(THREAD, 'a.txt', Buffer.from('one (1)\nTwo\nthree [x] 日本\n'))
  await stage.workspaces.write(THREAD, 'sub/b.txt', Buffer.from('two\r\n\r\nthree'))
  await stage.workspaces.write(THREAD, 'c.bin', Buffer.from([0xff, 0x74, 0x77, 0x6f]))
  expect(await search({ query: '(1)' })).toEqual({
    matches: [{ path: 'a.txt', line: 1, text: 'one (1)' }],
    next_skip: null,
    searched: 2,
    not_searched: ['c.bin'],
  })
  expect(await search({ query: 'two', ignore_case: true })).toMatchObject({
    matches: [
      { path: 'a.txt', line: 2 },
      { path: 'sub/b.txt', line: 1 },
    ],
  })
  expect(await search({ query: '^three$', regex: true })).toMatchObject({
    matches: [{ path: 'sub/b.txt', line: 3 }],
  })
  expect(await search({ query: '日本', path: 'a.txt' })).toMatchObject({ matches: [{ line: 3 }] })
  expect(await search({ query: 'o', path: 'sub' })).toMatchObject({ searched: 1 })
})

test('more matches than one answer holds are read on', async () => {
  await stage.workspaces.write(THREAD, 'many', Buffer.from('needle\n'.repeat(250)))
  const pages: number[] = []
  for (let skip: number | null = 0; skip !== null;) {
    const page = (await search({ query: 'needle', path: 'many', skip })) as {
      matches: unknown[]
      next_skip: number | null
    }
    pages.push(page.matches.length)
    skip = page.next_skip
  }
  expect(pages).toEqual([100, 100, 50])
})

test('an expression that would take for ever ends, and so does one that is none', async () => {
  await stage.workspaces.write(THREAD, 'evil', Buffer.from(`${'a'.repeat(40)}b`))
  await expect(search({ query: '^(a+)+$', regex: true, path: 'evil' })).rejects.toMatchObject({
    code: 'TIMEOUT',
  })
  await expect(search({ query: '(', regex: true })).rejects.toMatchObject({ code: 'INVALID_ARGS' })
  await expect(search({ query: 'x', path: '../..' })).rejects.toMatchObject({ code: 'INVALID_ARGS' })
  expect(await search({ query: '"); readFile("/etc/passwd"); ("', path: 'evil' })).toMatchObject({
    matches: [],
  })
})

test.for([
  ['javascript', runJavascript, "'x'.repeat(100_000)"],
  ['python', runPython, "'x' * 100_000"],
] as const)('a result that is too long for a conversation is a file of it (%s)', async ([, tool, code]) => {
  const result = (await tool.run({ code }, permit(tool, { ...call }))) as {
    artifact: { path: string; size: number }
    begins_with: string
    note: string
  }
  expect(result.artifact.path).toBe('outputs/call_1.json')
  expect(JSON.stringify(result).length).toBeLessThan(6_000)
  const args = { path: result.artifact.path, line: 2, lines: 1 }
  const piece = (await readFile.run(args, permit(readFile, { ...call }))) as { content: string }
  expect(piece.content).toContain('xxxx')
  const { bytes } = await stage.workspaces.read(THREAD, result.artifact.path)
  expect(JSON.parse(Buffer.from(bytes).toString())).toMatchObject({ value: 'x'.repeat(100_000) })
})
