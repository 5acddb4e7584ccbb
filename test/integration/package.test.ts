import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from '@langchain/langgraph-sdk'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { temporaryDirectory } from '../support/server.ts'

const REPOSITORY = new URL('../..', import.meta.url).pathname
const MODULES = join(REPOSITORY, 'node_modules')
/** The system's, which may be older than what Holdpoint needs. */
const OTHER_NODE = '/usr/bin/node'

const run = promisify(execFile)
// Packs, unpacks and starts processes, on a machine that other tests share.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

/** A project of somebody's: nothing in it comes from the repository, and it has LangGraph of its own. */
const PROJECT: Record<string, string> = {
  'package.json': JSON.stringify({ name: 'shop', type: 'module' }),
  'langgraph.json': JSON.stringify({
    graphs: {
      prices: './src/prices.tsx:graph',
      clerk: './src/clerk.ts:graph',
      reader: './src/reader.ts:make',
      old: './old/graph.ts:graph',
    },
    env: { CURRENCY: 'EUR' },
    dependencies: ['.'],
  }),
  'tsconfig.json': JSON.stringify({
    compilerOptions: {
      strict: true,
      noEmit: true,
      target: 'es2024',
      lib: ['esnext'],
      jsx: 'preserve',
      module: 'esnext',
      moduleResolution: 'bundler',
      skipLibCheck: true,
      types: ['node'],
    },
    include: ['src', 'holdpoint.policy.ts'],
  }),
  'guarded.json': JSON.stringify({
    graphs: { prices: { path: './src/prices.tsx:graph', description: 'Writes prices.' } },
    auth: { path: './src/auth.ts:auth' },
    http: { app: './src/app.ts:app' },
  }),
  'src/currency.ts': `export enum Currency { Euro = 'EUR', Dollar = 'USD' }`,
  'src/prices.tsx': `
    import { Annotation, END, START, StateGraph } from '@langchain/langgraph'
    import { Currency } from './currency'
    const State = Annotation.Root({ cents: Annotation<number>, price: Annotation<string> })
    export const graph = new StateGraph(State)
      .addNode('prices', ({ cents }) => {
        const currency = process.env['CURRENCY'] === Currency.Euro ? Currency.Euro : Currency.Dollar
        return { price: (cents / 100).toFixed(2) + ' ' + currency }
      })
      .addEdge(START, 'prices').addEdge('prices', END).compile()
  `,
  'src/refund.ts': `
    import { defineTool } from 'holdpoint/tools/define'
    import { z } from 'zod'
    export const refund = defineTool({
      name: 'refund',
      description: 'Pays money back. It does not tell the customer.',
      schema: z.object({ order: z.string(), cents: z.number().int() }),
      risk: 'medium',
      effect: 'once',
      run: async ({ order, cents }) => ({ refunded: cents, order }),
    })
  `,
  'src/clerk.ts': `
    import { AIMessage } from '@langchain/core/messages'
    import { END, START, StateGraph } from '@langchain/langgraph'
    import { callTools } from 'holdpoint/nodes/call-tools'
    import { hold } from 'holdpoint/nodes/hold'
    import { judgeCalls } from 'holdpoint/nodes/judge-calls'
    import { AgentState } from 'holdpoint/nodes/state'
    import { refund } from './refund'
    const call = { id: 'call', name: 'refund', args: { order: 'A-1', cents: 500 } }
    export const graph = new StateGraph(AgentState)
      .addNode('model', () => ({ messages: [new AIMessage({ id: 'message', content: '', tool_calls: [call] })] }))
      .addNode('policy', judgeCalls({ tools: [refund] }))
      .addNode('hold', hold({ tools: [refund] }))
      .addNode('tools', callTools({ tools: [refund] }))
      .addEdge(START, 'model').addEdge('model', 'policy').addEdge('policy', 'hold').addEdge('hold', 'tools')
      .addEdge('tools', END)
      .compile()
  `,
  'holdpoint.policy.ts': `
    import type { PolicyFile } from 'holdpoint/policy'
    export default {
      rules: [{ name: 'large', when: { tool: 'refund', args: { cents: { gt: 50_000 } } }, then: 'hold', risk: 'high' }],
    } satisfies PolicyFile
  `,
  // Of a package without a type, as `npm init` long made them: CommonJS, which reaches Holdpoint by require().
  'old/package.json': '{}',
  'old/graph.ts': `
    import { AIMessage } from '@langchain/core/messages'
    import { END, START, StateGraph } from '@langchain/langgraph'
    import { AgentState } from 'holdpoint/nodes/state'
    enum Word { Hello = 'hello' }
    export const graph = new StateGraph(AgentState)
      .addNode('says', () => ({ messages: [new AIMessage(Word.Hello)] }))
      .addEdge(START, 'says').addEdge('says', END)
  `,
  'src/reader.ts': `
    import { reactGraph } from 'holdpoint/graphs/react'
    import { toolsNamed } from 'holdpoint/tools/registry'
    export const make = () => reactGraph({ tools: toolsNamed('run_javascript', 'read_file') }).compile()
  `,
}

let root = ''
let packed: string[] = []
const installed = () => join(root, 'installed')
const project = () => join(root, 'project')
const holdpoint = () => join(installed(), 'node_modules/.bin/holdpoint')

beforeAll(async () => {
  root = await temporaryDirectory()
  await run('npm', ['pack', '--silent', '--pack-destination', root], { cwd: REPOSITORY })
  const [tarball = ''] = await readdir(root)
  packed = (await run('tar', ['-tzf', join(root, tarball)])).stdout.trim().split('\n')
  await install(join(root, tarball))
  await writeProject()
})
afterAll(() => rm(root, { recursive: true, force: true }))

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

test('the package has what is needed at run time, and nothing else', async () => {
  const files = packed.map((file) => file.replace(/^package\//, ''))
  const folders = 'server|runtime|storage|graphs|nodes|tools|models|console|prompts'
  const expected = new RegExp(
    `^(package\\.json|README\\.md|LICENSE|CHANGELOG\\.md|dist/langgraph\\.json|dist/(${folders})/.+\\.(js|d\\.ts|sql|md|html|css))$`,
  )
  expect(files.filter((file) => !expected.test(file))).toEqual([])
  for (const folder of ['console', 'prompts', 'storage/migrations']) {
    const sources = (await readdir(join(REPOSITORY, folder))).map((name) => `dist/${folder}/${name}`)
    expect(files).toEqual(expect.arrayContaining(sources))
  }
})

test('what may be imported from the package is there, with its types', async () => {
  const { exports } = JSON.parse(
    await readFile(join(installed(), 'node_modules/holdpoint/package.json'), 'utf8'),
  ) as { exports: Record<string, string> }
  const modules = Object.values(exports).filter((path) => path.endsWith('.js') && !path.includes('*'))
  expect(modules.length).toBeGreaterThan(5)
  for (const path of modules) {
    expect(packed).toContain(path.replace('./', 'package/'))
    expect(packed).toContain(path.replace('./', 'package/').replace(/\.js$/, '.d.ts'))
  }
  // The compiler would say so if a graph of the project used them otherwise than they are.
  expect(await output(join(MODULES, '.bin/tsc'), ['-p', project()])).toEqual({
    stdout: '',
    stderr: '',
    code: 0,
  })
})

test('in an empty folder it serves its own agents, and says so', async () => {
  const server = await serve([], installed())
  expect(server.greeting).toContain("Holdpoint's own agents, because there is no langgraph.json here")
  for (const page of ['/console', '/console/approvals.js', '/docs', '/openapi.json'])
    expect((await fetch(server.url + page)).status).toBe(200)
  const values = await server.client.runs.wait(null, 'react', {
    input: { messages: [{ role: 'user', content: 'Calculate 6 * 7 + 12345 with code.' }] },
  })
  expect(JSON.stringify(values)).toContain('12387')
  expect(await server.stop()).toBe(0)
})

test('a project with its own TypeScript and its own LangGraph is served from its folder', async () => {
  const { client, url, greeting, stop } = await serve(['serve'], project())
  expect(greeting).not.toContain("Holdpoint's own agents")
  expect((await client.assistants.search()).map(({ graph_id }) => graph_id).toSorted()).toEqual([
    'clerk',
    'old',
    'prices',
    'reader',
  ])
  expect(await client.runs.wait(null, 'prices', { input: { cents: 1250 } })).toEqual({
    cents: 1250,
    price: '12.50 EUR',
  })

  expect(await client.runs.wait(null, 'old', { input: { messages: [] } })).toMatchObject({
    messages: [{ type: 'ai', content: 'hello' }],
  })

  // What a person releases runs: the project's tool and the server's executor are in one and the same module.
  const { thread_id: thread } = await client.threads.create()
  await client.runs.wait(thread, 'clerk', { input: { messages: [] } })
  const [held] = (await (await fetch(`${url}/approvals?status=pending`)).json()) as [{ approval_id: string }]
  await fetch(`${url}/approvals/${held.approval_id}/decisions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'approve' }),
  })
  await vi.waitFor(async () => expect((await client.threads.get(thread)).status).toBe('idle'), 20_000)
  const { values } = await client.threads.getState<{ messages: { content: string }[] }>(thread)
  expect(values.messages.at(-1)?.content).toContain('{"refunded":500,"order":"A-1"}')

  const read = await client.runs.wait(null, 'reader', {
    input: { messages: [{ role: 'user', content: 'Calculate 3 * 4 with code.' }] },
  })
  expect(JSON.stringify(read)).toContain('= 12')
  expect(await stop()).toBe(0)
})

test('who may call, and routes of the project, as docs/project.md shows them', async () => {
  const { url, stop } = await serve(['--config', 'guarded.json'], project())
  const as = (secret: string) =>
    new Client({ apiUrl: url, apiKey: null, defaultHeaders: { authorization: `Bearer ${secret}` } })
  const [ada, bob] = [as('s3cret-of-ada'), as('s3cret-of-bob')]
  expect((await fetch(`${url}/threads/search`, { method: 'POST', body: '{}' })).status).toBe(401)

  const thread = await ada.threads.create()
  expect(thread.metadata).toMatchObject({ owner: 'ada' })
  expect(await ada.runs.wait(thread.thread_id, 'prices', { input: { cents: 5 } })).toMatchObject({
    price: '0.05 USD',
  })
  // Bob may look, and no more.
  expect(await bob.threads.search({ metadata: { owner: 'ada' } })).toMatchObject([
    { thread_id: thread.thread_id },
  ])
  await expect(bob.threads.update(thread.thread_id, { metadata: { owner: 'bob' } })).rejects.toMatchObject({
    status: 404,
  })
  expect(await ada.assistants.search({ graphId: 'prices' })).toMatchObject([
    { description: 'Writes prices.' },
  ])

  const hello = await fetch(`${url}/desk/hello`)
  expect(await hello.json()).toEqual({ hello: 'world' })
  expect((await fetch(`${url}/ok`)).headers.get('x-served-by')).toBe('desk')
  expect(await stop()).toBe(0)
})

describe('the command says in one line', () => {
  test.each([
    [['dance'], 2, 'There is no command "dance". See holdpoint --help.'],
    [['serve', 'now'], 2, 'serve takes no "now". See holdpoint --help.'],
    [['--prot', '1'], 2, "Unknown option '--prot'. See holdpoint --help."],
    [['--port'], 2, "Option '--port <value>' argument missing. See holdpoint --help."],
    [['--port', '-1'], 2, "Option '--port' argument is ambiguous. See holdpoint --help."],
    [['--port', 'x'], 1, 'Bad setting. PORT: '],
    [['--config', 'nowhere.json'], 1, 'Cannot read nowhere.json. Create it, '],
  ])('what is wrong with %j', async (args, code, line) => {
    // Options count more: with these alone it would start.
    const ended = await output(holdpoint(), args, {
      PORT: '0',
      HOLDPOINT_CONFIG: join(project(), 'langgraph.json'),
    })
    expect(ended).toEqual({ stdout: '', stderr: expect.stringMatching(/^[^\n]+\n$/), code })
    expect(ended.stderr).toContain(line)
  })

  test('its version, and in more its usage', async () => {
    const { version } = JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8')) as {
      version: string
    }
    expect(await output(holdpoint(), ['--version'])).toEqual({ stdout: `${version}\n`, stderr: '', code: 0 })
    const { stdout, code } = await output(holdpoint(), ['--help'])
    expect({ stdout, code }).toEqual({ stdout: expect.stringContaining('--config FILE'), code: 0 })
  })

  test('which Node it needs, on one that is too old', async ({ skip }) => {
    const { stdout } = await output(OTHER_NODE, ['--version'])
    const [, major] = /^v(\d+)/.exec(stdout) ?? []
    skip(major === undefined || Number(major) >= 24, `${OTHER_NODE} is no older Node`)
    expect(await output(OTHER_NODE, [holdpoint(), '--version'])).toEqual({
      stdout: '',
      stderr: expect.stringMatching(
        /^Holdpoint needs Node 24\.12 or newer, and this is .+\. Install [^\n]+\n$/,
      ),
      code: 1,
    })
  })
})

/** As npm would into an empty folder. Of what the repository has installed, only the declared dependencies are there. */
async function install(tarball: string): Promise<void> {
  const modules = join(installed(), 'node_modules')
  await mkdir(join(modules, 'holdpoint'), { recursive: true })
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(modules, 'holdpoint')])
  const { dependencies, bin } = JSON.parse(
    await readFile(join(modules, 'holdpoint/package.json'), 'utf8'),
  ) as { dependencies: object; bin: { holdpoint: string } }
  for (const name of Object.keys(dependencies)) await link(join(MODULES, name), join(modules, name))
  await link(join(modules, 'holdpoint', bin.holdpoint), holdpoint())
}

async function writeProject(): Promise<void> {
  const page = await readFile(join(REPOSITORY, 'docs/project.md'), 'utf8')
  const shown = [...page.matchAll(/```ts\n\/\/ (src\/\S+)\n(.*?)```/gs)].map(([, name, text]) => [name, text])
  expect(shown).toHaveLength(2)
  for (const [name = '', text = ''] of [...Object.entries(PROJECT), ...shown]) {
    await mkdir(join(project(), name, '..'), { recursive: true })
    await writeFile(join(project(), name), text)
  }
  const own = join(project(), 'node_modules')
  for (const name of ['@langchain/langgraph', '@langchain/core'])
    await cp(join(MODULES, name), join(own, name), { recursive: true })
  // What these import. It is there for them alone: Holdpoint finds its own.
  for (const name of await readdir(MODULES))
    if (!/^(\.|@langchain$|tsx$)/.test(name)) await link(join(MODULES, name), join(own, name))
  for (const name of ['langgraph-checkpoint', 'langgraph-sdk', 'protocol'])
    await link(join(MODULES, '@langchain', name), join(own, '@langchain', name))
  await link(join(installed(), 'node_modules/holdpoint'), join(own, 'holdpoint'))
}

async function link(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await symlink(target, path)
}

/** Starts `holdpoint` in the folder, on a free port and the embedded database. */
async function serve(args: string[], cwd: string) {
  const child = spawn(holdpoint(), [...args, '--port', '0'], {
    cwd,
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGTERM')
    await exited
    return child.exitCode
  }
  closers.push(stop)
  let greeting = ''
  for await (const text of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    greeting += String(text)
    if (greeting.includes('/docs\n')) break
  }
  child.stdout.resume()
  const url = /listens on (http:\S+)/.exec(greeting)?.[1]
  if (url === undefined) throw new Error(`holdpoint ended and said: ${greeting}`)
  const client = new Client({ apiUrl: url, apiKey: null, callerOptions: { maxRetries: 0 } })
  return { url, client, greeting, stop }
}

async function output(
  file: string,
  args: string[],
  settings: Record<string, string> = {},
): Promise<{ stdout: string; stderr: string; code: number | null }> {
  const env = { PATH: process.env['PATH'], ...settings }
  return await new Promise((done) => {
    const child = execFile(file, args, { cwd: root, env }, (_failed, stdout, stderr) =>
      done({ stdout, stderr, code: child.exitCode }),
    )
  })
}
