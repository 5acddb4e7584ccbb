import { cp, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { loadProject } from '../../server/project.ts'
import { type ServerProcess, spawnServer, temporaryDirectory } from '../support/server.ts'

const MODULES = new URL('../../node_modules', import.meta.url).pathname

/** What a project of users may look like: nothing that Node would run as it is. */
const FILES = {
  'langgraph.json': JSON.stringify({
    graphs: {
      greeter: './src/graph.tsx:graph',
      late: './src/graph.tsx:late',
      made: { path: './src/graph.tsx:make', description: 'Is made anew for each configuration.' },
      plain: './plain.js:graph',
    },
    env: '.env',
    dependencies: ['.'],
  }),
  '.env': 'GREETING=Good evening\n',
  'tsconfig.json': JSON.stringify({
    compilerOptions: { module: 'esnext', moduleResolution: 'bundler', paths: { '~/*': ['./src/*'] } },
  }),
  'package.json': JSON.stringify({ type: 'module' }),
  'src/tone.ts': `export enum Tone { Calm = 'calm', Loud = 'loud' }`,
  'src/words.ts': `export const words = (name: string) => \`\${process.env['GREETING']}, \${name}.\``,
  'src/graph.tsx': `
    import { Annotation, Command, END, interrupt, MemorySaver, Send, START, StateGraph } from '@langchain/langgraph'
    import { words } from '~/words'
    import { Tone } from './tone'
    const State = Annotation.Root({ name: Annotation<string>, said: Annotation<string>, tone: Annotation<Tone> })
    const builder = new StateGraph(State)
      .addNode('asks', (state: typeof State.State) => new Command({ update: { name: interrupt('Who?') }, goto: 'says' }), { ends: ['says'] })
      .addNode('says', ({ name }: typeof State.State) => ({ said: words(name), tone: Tone.Calm }))
      .addEdge(START, 'asks').addEdge('says', END)
    export const graph = builder.compile({ checkpointer: new MemorySaver() })
    export const late = Promise.resolve(builder)
    export const make = (config: { configurable?: { loud?: boolean } }) =>
      new StateGraph(State)
        .addNode('says', () => ({ tone: config.configurable?.loud ? Tone.Loud : Tone.Calm }))
        .addEdge(START, 'says').addEdge('says', END)
        .compile()
  `,
  'plain.js': `
    import { Annotation, END, START, StateGraph } from '@langchain/langgraph'
    export const graph = new StateGraph(Annotation.Root({ n: Annotation() }))
      .addNode('adds', ({ n }) => ({ n: n + 1 })).addEdge(START, 'adds').addEdge('adds', END)
  `,
}

let project = ''
const servers: ServerProcess[] = []
const directories: string[] = []

async function write(files: Record<string, string>): Promise<string> {
  const directory = await temporaryDirectory()
  directories.push(directory)
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(directory, name, '..'), { recursive: true })
    await writeFile(join(directory, name), text)
  }
  // A copy of LangGraph of its own; what that needs is linked.
  const own = join(directory, 'node_modules')
  await mkdir(join(own, '@langchain'), { recursive: true })
  for (const name of await readdir(MODULES))
    if (!name.startsWith('@langchain') && !name.startsWith('.'))
      await symlink(join(MODULES, name), join(own, name))
  for (const name of await readdir(join(MODULES, '@langchain'))) {
    const [from, to] = [join(MODULES, '@langchain', name), join(own, '@langchain', name)]
    await (name === 'langgraph' ? cp(from, to, { recursive: true }) : symlink(from, to))
  }
  return directory
}

async function serve(directory: string): Promise<ServerProcess> {
  const server = await spawnServer({
    dataDir: join(directory, 'data'),
    env: { HOLDPOINT_CONFIG: join(directory, 'langgraph.json') },
  })
  servers.push(server)
  return server
}

beforeAll(async () => {
  project = await write(FILES)
})
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop()
})
afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true })
})

test("a project's TypeScript is served as the LangGraph CLI does, with its own copy of LangGraph", async () => {
  const { client } = await serve(project)
  for (const graph of ['greeter', 'late']) {
    const { thread_id } = await client.threads.create()
    await client.runs.wait(thread_id, graph, { input: { name: '' } })
    // The graph's own MemorySaver would have kept this to itself.
    expect(await client.threads.get(thread_id)).toMatchObject({ status: 'interrupted' })
    const values = await client.runs.wait(thread_id, graph, { command: { resume: 'Ada' } })
    expect(values).toEqual({ name: 'Ada', said: 'Good evening, Ada.', tone: 'calm' })
    expect((await client.threads.getHistory(thread_id)).length).toBeGreaterThan(2)
  }
})

test('a function makes the graph for the configuration of each run; plain JavaScript is served beside it', async () => {
  const { client } = await serve(project)
  const { thread_id: threadId } = await client.threads.create()
  const input = { name: '' }
  expect(await client.runs.wait(threadId, 'made', { input })).toMatchObject({ tone: 'calm' })
  const loud = { configurable: { loud: true } }
  expect(await client.runs.wait(threadId, 'made', { input, config: loud })).toMatchObject({ tone: 'loud' })
  expect(await client.runs.wait(null, 'plain', { input: { n: 41 } })).toEqual({ n: 42 })
})

test.each([
  ['auth', { path: './auth.js:auth' }, /auth\.path .* does not load from \.\/auth\.js:auth: it is no Auth/],
  ['auth', { path: './gone.js:auth' }, /auth\.path .* does not load from \.\/gone\.js:auth/],
  ['http', { app: './auth.js:auth' }, /http\.app .* it is no Hono app/],
  ['http', { mount_prefix: '/api' }, /Unrecognized key: "mount_prefix"/],
  ['store', { index: { embed: 'openai:text-embedding-3-small', dims: 1536 } }, 'no vector search'],
  ['store', { ttl: { default_ttl: -1 } }, 'is not a langgraph.json'],
])('what cannot be carried out is told at the start: %s %j', async (key, value, told) => {
  const directory = await temporaryDirectory()
  directories.push(directory)
  const file = join(directory, 'langgraph.json')
  await writeFile(join(directory, 'auth.js'), 'export const auth = {}')
  await writeFile(file, JSON.stringify({ graphs: {}, [key]: value }))
  await expect(loadProject(file, { studioAuth: false })).rejects.toThrow(told)
})
