import { execFile } from 'node:child_process'
import { rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { embeddedDirectory } from '../support/each-database.ts'
import { spawnServer, temporaryDirectory } from '../support/server.ts'
import { httpOn, WAIT } from '../support/stage.ts'

const HOLDPOINT = new URL('../../server/bin.ts', import.meta.url).pathname
const MODULES = new URL('../../node_modules', import.meta.url).pathname
const EXAMPLES = 'examples/policy'
const CALL = '{"tool":"pay","args":{"cents":7},"risk":"low","expect":"deny"}\n'

vi.setConfig({ testTimeout: 90_000 })

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

function holdpoint(
  cwd: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [HOLDPOINT, ...args],
      { cwd, env: { PATH: process.env['PATH'] } },
      (error, stdout, stderr) => done({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

async function project(files: Record<string, string>): Promise<string> {
  const directory = await temporaryDirectory()
  closers.push(() => rm(directory, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
  await symlink(MODULES, join(directory, 'node_modules'))
  return directory
}

const TYPESCRIPT = (limit: number) => `
  import { limits } from './limits'
  enum Then { Deny = 'deny' }
  export default {
    rules: [{ name: 'large', when: { args: { cents: { gt: Math.min(limits.most, ${limit}) } } }, then: Then.Deny }],
  }`

test.for(['module', 'commonjs'])(
  'a policy in TypeScript counts in a package of type %s, and is read anew',
  async (type) => {
    const directory = await project({
      'package.json': JSON.stringify({ type }),
      'limits.ts': 'export const limits = { most: 1000 }',
      'graph.ts': `
      import { Annotation, END, START, StateGraph } from '@langchain/langgraph'
      export const graph = new StateGraph(Annotation.Root({ n: Annotation<number>() }))
        .addNode('a', () => ({ n: 1 })).addEdge(START, 'a').addEdge('a', END).compile()`,
      'langgraph.json': JSON.stringify({ graphs: { g: './graph.ts:graph' } }),
      'holdpoint.policy.ts': TYPESCRIPT(6),
      'calls.jsonl': CALL,
    })
    const asked = await holdpoint(directory, 'policy', 'test', 'calls.jsonl')
    expect(asked).toMatchObject({ code: 0, stderr: '' })
    expect(asked.stdout).toContain('1 deny pay [large] Rule "large" denies pay: cents: 7 (over 6).')

    const dataDir = await embeddedDirectory()
    closers.push(() => rm(dataDir, { recursive: true, force: true }))
    const server = await spawnServer({
      dataDir,
      env: { HOLDPOINT_CONFIG: join(directory, 'langgraph.json') },
    })
    closers.push(server.kill)
    const http = httpOn(server.url)
    const versions = async () =>
      (await http('GET', '/audit?kind=policy.changed&order=asc'))
        .json<{ data: { version: string } }[]>()
        .map(({ data }) => data.version)
    expect(await versions()).toHaveLength(1)
    await writeFile(join(directory, 'holdpoint.policy.ts'), TYPESCRIPT(8))
    await vi.waitFor(async () => expect(await versions()).toHaveLength(2), WAIT)
    const now = JSON.parse((await holdpoint(directory, 'policy', 'check', '--json')).stdout) as {
      version: string
    }
    expect((await versions()).at(-1)).toBe(now.version)
  },
)

test('a server whose policy is wrong does not start: one line with the place, exit code 1', async () => {
  const directory = await project({
    'holdpoint.policy.json': '{"rules":[{"name":"x","when":{"tool":"*"},"then":"hold","aprovers":2}]}',
  })
  const line = new RegExp(
    `^The policy ${directory}/holdpoint.policy.json cannot be used\\. rules\\[0\\]: Unrecognized key: "aprovers"\n$`,
  )
  expect(await holdpoint(directory, 'serve', '--port', '0')).toEqual({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(line),
  })
  expect(await holdpoint(directory, 'policy', 'check')).toEqual({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(line),
  })
  const thrown = await project({ 'holdpoint.policy.ts': 'throw new Error("on purpose")' })
  expect(await holdpoint(thrown, 'serve', '--port', '0')).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^The policy .+ cannot be used\. on purpose\n$/),
  })
  const none = await project({ 'holdpoint.policy.ts': 'export const rules = []' })
  expect(await holdpoint(none, 'policy', 'check')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/It has no default export\.\n$/),
  })
})

test('policy test tells of each call what is decided and why, and its exit code whether that was expected', async () => {
  const here = process.cwd()
  const [calls, policy] = [`${EXAMPLES}/amounts.calls.jsonl`, `${EXAMPLES}/amounts.json`]
  const asked = await holdpoint(here, 'policy', 'test', calls, '--policy', policy)
  expect(asked).toMatchObject({ code: 0, stderr: '' })
  expect(asked.stdout.split('\n')).toEqual([
    '1 allow refund [small refunds] Rule "small refunds" allows refund: cents: 1200 (over 0 and at most 5000).',
    expect.stringMatching(/^2 hold refund \[no rule\] needs a person from approver\. /),
    expect.stringMatching(
      /^3 hold refund \[large refunds\] needs 2 people \(1 of them senior\) from finance\. /,
    ),
    expect.stringMatching(/^4 hold refund \[large refunds\]/),
    '5 deny refund [no refunds in the trial] Rule "no refunds in the trial" denies refund.',
    expect.stringMatching(/^6 hold pay_invoice \[payments\] needs 2 people from approver\. /),
    'ok: 6 calls',
    '',
  ])
  expect(await holdpoint(here, 'policy', 'test', calls, '--policy', policy)).toEqual(asked)

  // Without the policy the tools' own risks count.
  const alone = await holdpoint(here, 'policy', 'test', calls, '--json')
  expect(alone.code).toBe(1)
  const judged = alone.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { action: string; rule: null })
  expect(judged.map(({ action }) => action)).toEqual(['hold', 'hold', 'hold', 'hold', 'hold', 'allow'])
  expect(judged[0]).toMatchObject({
    line: 1,
    rule: null,
    risk: 'medium',
    expect: 'allow',
    needs: { approvers: 1 },
  })
  expect((await holdpoint(here, 'policy', 'test', calls)).stdout).toContain('EXPECTED allow.')
  expect((await holdpoint(here, 'policy', 'test', calls)).stdout).toMatch(/\n3 not as expected: 6 calls\n$/)
})

test('a command that is not understood says so, and starts nothing', async () => {
  const here = process.cwd()
  for (const args of [
    ['policy'],
    ['policy', 'test'],
    ['policy', 'check', 'x'],
    ['policy', 'check', '--port', '1'],
    ['serve', '--json'],
    ['policy', 'test', 'a', 'b'],
  ])
    expect([args, await holdpoint(here, ...args)]).toEqual([
      args,
      { code: 2, stdout: '', stderr: expect.stringMatching(/^.+ See holdpoint --help\.\n$/) },
    ])
  const nowhere = await holdpoint(here, 'policy', 'test', 'nowhere.jsonl')
  expect(nowhere).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^[^\n]*nowhere\.jsonl[^\n]*\n$/),
  })
})
