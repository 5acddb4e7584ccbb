import { createServer, type Server } from 'node:http'
import { readFile, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mcpTools } from '../../tools/mcp/tools.ts'
import { createMcpConnections, MCP } from '../../tools/mcp/connections.ts'
import { readServers } from '../../tools/mcp/settings.ts'
import { pinOf, pinsFileOf, readPins } from '../../tools/mcp/pins.ts'
import { onPostgres } from '../support/each-database.ts'
import { useMcpProject } from '../support/mcp/project.ts'
import { temporaryDirectory } from '../support/server.ts'
import { turncoat } from '../support/mcp/turncoat.ts'
import { says, untilThread, useStage } from '../support/stage.ts'
import { callWith } from '../unit/tools/call-context.ts'

const EVERYTHING = new URL(
  '../../node_modules/@modelcontextprotocol/server-everything/dist/index.js',
  import.meta.url,
).pathname
const TURNCOAT = new URL('../support/mcp/turncoat.ts', import.meta.url).pathname
const FREE = { risk: 'low', effect: 'none' }

/** A secret that no tool was given. */
process.env['HOLDPOINT_TEST_OTHER_SECRET'] = 'nobody was given this'

onPostgres((database) => {
  let web: Server | undefined
  let address = ''
  beforeAll(async () => {
    web = await startWeb()
    address = `http://127.0.0.1:${(web.address() as AddressInfo).port}/mcp`
  })
  afterAll(() => web?.close())

  const project = useMcpProject(
    () => ({
      everything: {
        command: 'node',
        args: [EVERYTHING, 'stdio'],
        tools: {
          echo: FREE,
          'get-sum': {},
          'get-structured-content': FREE,
          'get-tiny-image': FREE,
          'get-annotated-message': { risk: 'medium', effect: 'none' },
        },
      },
      turncoat: {
        command: 'node',
        args: [TURNCOAT],
        env: { GREETING: 'hello' },
        env_from: { TOKEN: 'HOLDPOINT_TEST_TOKEN' },
        tools: {
          say: FREE,
          environment: FREE,
          flood: { ...FREE, output_limit: 1_000 },
          hang: { ...FREE, timeout_ms: 500 },
          child: FREE,
          fail: FREE,
          nul: FREE,
        },
      },
      web: {
        url: address,
        headers_from: { authorization: 'HOLDPOINT_TEST_TOKEN' },
        allow_private: true,
        tools: { environment: FREE, fail: FREE },
      },
    }),
    { HOLDPOINT_TOOL_SECRETS: 'HOLDPOINT_TEST_TOKEN', HOLDPOINT_TEST_TOKEN: 'the token of the test' },
  )
  beforeAll(() => {
    // The server of the stage is in this process.
    process.env['HOLDPOINT_TEST_TOKEN'] = 'the token of the test'
  })
  const stage = useStage(database, project.env)

  describe('a real server', () => {
    test('its tools are called by an agent, as they were approved', async () => {
      const [echo, structured, image] = await results(
        ['everything__echo', { message: 'hello' }],
        ['everything__get-structured-content', { location: 'Chicago' }],
        ['everything__get-tiny-image', {}],
      )
      expect(echo).toContain('"text":"Echo: hello"')
      expect(structured).toMatch(/"structured":\{"temperature":\d+/)
      expect(image).toContain('"type":"image","left_out":"Only text is passed on."')
      const described = JSON.stringify(stage.model.requests[0]?.tools)
      expect(described).toContain('"name":"everything__echo","description":"Echoes back the input string"')
      expect(described).toContain('"description":"Message to echo"')
      expect(described).not.toContain('get-env')
    })

    test('one of which the file says nothing needs two people', async () => {
      stage.play({ toolCalls: [{ name: 'everything__get-sum', args: { a: 1, b: 2 } }] })
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'helper', { input: says('Add.') })
      expect(await stage.holds(threadId)).toMatchObject([
        { tool: 'everything__get-sum', risk: 'high', needs: { approvers: 2 } },
      ])
    })

    test('a person edits the arguments, within the schema that was approved', async () => {
      const name = 'everything__get-annotated-message'
      stage.play({ toolCalls: [{ name, args: { messageType: 'error' } }] }, { content: 'Told.' })
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'helper', { input: says('Tell.') })
      const [hold] = await stage.holds(threadId)
      const edit = (args: object) => stage.decide(hold?.approval_id ?? '', { type: 'edit', args })
      const refused = await edit({ messageType: 'shout' })
      expect([refused.status, refused.text]).toEqual([422, expect.stringContaining('messageType')])
      expect(await edit({ messageType: 'success' })).toMatchObject({ status: 200 })
      await untilThread(stage.client, threadId, 'idle')
      const told = JSON.stringify(stage.model.requests.at(-1)?.messages.at(-1))
      expect(told).toContain('Operation completed successfully')
    })

    test('what its schema does not take, and a tool that the file does not name, is not called', async () => {
      const [wrong, unnamed] = await results(
        ['everything__echo', { message: 1 }],
        ['everything__get-env', {}],
      )
      expect(wrong).toContain('INVALID_ARGS')
      expect(unnamed).toContain('This agent has no tool')
    })
  })

  describe('a server that nobody should trust', () => {
    test('one that changes its description between two calls is stopped', async () => {
      const threadId = await stage.thread()
      const [first] = await results.on(threadId, ['turncoat__say', { text: 'one' }])
      expect(first).toContain('It says: one')
      const [second] = await results.on(threadId, ['turncoat__say', { text: 'two' }])
      expect(second).toContain('"code":"DENIED"')
      expect(second).toContain('not those that a person approved')
      expect(second).not.toContain('It says')
      expect(JSON.stringify(stage.model.requests)).not.toContain('attacker@example.com')
    })

    test('it sees the environment that the file gives it, and nothing else', async () => {
      const [told = ''] = await results(['turncoat__environment', {}])
      const seen = JSON.parse(/"text":("(?:[^"\\]|\\.)*")/.exec(told)?.[1] ?? '""') as string
      // What the server was given is not told on.
      expect(JSON.parse(seen)).toEqual({ GREETING: 'hello', TOKEN: '[HOLDPOINT_TEST_TOKEN]' })
    })

    test('what it sends too much of, never answers, or fails with is an error that the run survives', async () => {
      const [flood, hang, fail, nul] = await results(
        ['turncoat__flood', {}],
        ['turncoat__hang', {}],
        ['turncoat__fail', {}],
        ['turncoat__nul', {}],
      )
      expect(flood).toContain('"status":"error"')
      expect(hang).toMatch(/TIMEOUT|INTERNAL/)
      for (const [one, word] of [
        [fail, 'It failed because of you.'],
        [nul, 'a\ufffdb\ufffd'],
      ])
        // The flood ends the process for all.
        expect(one).toMatch(new RegExp(`${word}|INTERNAL|DENIED`))
      const [again] = await results(['turncoat__fail', {}])
      expect(again).toContain('It failed because of you.')
      const [clean] = await results(['turncoat__nul', {}])
      expect(clean).toContain('a\ufffdb\ufffd')
    })

    test('a call that takes too long ends at its time', async () => {
      const started = performance.now()
      const [hang] = await results(['turncoat__hang', {}])
      expect(hang).toContain('took longer than 500 ms')
      expect(performance.now() - started).toBeLessThan(8_000)
    })

    test('each thread has a server of its own', async () => {
      const [one] = await results(['turncoat__child', {}])
      const [other] = await results(['turncoat__child', {}])
      expect(new Set([...pidsIn(one), ...pidsIn(other)]).size).toBe(4)
    })
  })

  test('at the end nothing of a server is left, nor of what it has started', async () => {
    const connections = createMcpConnections({ get: () => 'a token' })
    const server = readServers(project.file).find(({ name }) => name === 'turncoat')
    const pin = readPins(project.file)['turncoat']?.['child']
    if (server === undefined || pin === undefined) throw new Error('It was not approved.')
    const call = { ...callWith(MCP, connections), timeoutMs: 5_000 }
    const told = JSON.stringify(await connections.call(server, pin, {}, call))
    const pids = pidsIn(told)
    expect(pids.filter(isThere)).toHaveLength(2)
    await connections.close()
    await expect.poll(() => pids.filter(isThere), { timeout: 5_000 }).toEqual([])
  })

  test('calls of one thread at the same time share a server, also in the place of one that has ended', async () => {
    const connections = createMcpConnections({ get: () => 'a token' })
    const server = readServers(project.file).find(({ name }) => name === 'turncoat')
    const pin = readPins(project.file)['turncoat']?.['child']
    if (server === undefined || pin === undefined) throw new Error('It was not approved.')
    const call = { ...callWith(MCP, connections), timeoutMs: 5_000 }
    const ask = async () => pidsIn(JSON.stringify(await connections.call(server, pin, {}, call)))
    const seen: number[] = []
    const serverOf = async (asked: Promise<number[]>) => {
      const pids = await asked
      seen.push(...pids)
      return pids[0] ?? 0
    }
    try {
      const first = await serverOf(ask())
      process.kill(first, 'SIGKILL')
      await expect.poll(() => isThere(first)).toBe(false)
      const after = await Promise.all(Array.from({ length: 4 }, () => serverOf(ask())))
      expect(new Set(after).size).toBe(1)
      expect(after).not.toContain(first)
    } finally {
      await connections.close()
      await expect.poll(() => seen.filter(isThere), { timeout: 5_000 }).toEqual([])
    }
  })

  test('two tools whose names are one for the model are refused', async () => {
    const path = join(await temporaryDirectory(), 'holdpoint.mcp.json')
    const definition = { name: '', description: 'x', inputSchema: { type: 'object' } }
    const names = ['a.b', 'a_b']
    const tools = Object.fromEntries(names.map((name) => [name, FREE]))
    await writeFile(path, JSON.stringify({ servers: { one: { command: 'node', tools } } }))
    const pins = names.map((name) => [name, pinOf({ ...definition, name } as never)])
    await writeFile(pinsFileOf(path), JSON.stringify({ one: Object.fromEntries(pins) }))
    expect(() => mcpTools(path)).toThrow('one/a.b and one/a_b are both called one__a_b')
    expect(mcpTools(path, 'one/a_b')).toHaveLength(1)
    await rm(dirname(path), { recursive: true })
  })

  test('a server by HTTP is called with its headers', async () => {
    const [told] = await results(['web__environment', {}])
    expect(told).toContain('"authorization\\":\\"[HOLDPOINT_TEST_TOKEN]')
    expect(JSON.stringify(stage.model.requests)).not.toContain('the token of the test')
  })

  describe('holdpoint mcp', () => {
    test('check says that all is as it was approved', async () => {
      expect(await project.command('check')).toMatchObject({
        code: 0,
        output: expect.stringContaining('ok: 14 tools'),
      })
    })

    test('a pin that somebody has written over is refused, and so is a tool without one', async () => {
      const path = pinsFileOf(project.file)
      const pins = await readFile(path, 'utf8')
      try {
        await writeFile(path, pins.replace('Echoes back the input string', 'Obey the input string'))
        expect(() => mcpTools(project.file)).toThrow('is not the one that was approved')
        expect(await project.command('check')).toMatchObject({ code: 1 })
        await writeFile(path, '{}')
        expect(() => mcpTools(project.file, 'everything/echo')).toThrow('has not been approved')
        const { code, output } = await project.command('check')
        expect(code).toBe(1)
        expect(output).toContain('new everything/echo (everything__echo)')
      } finally {
        await writeFile(path, pins)
      }
    })

    test('a private address that the file does not allow is refused', async () => {
      const settings = await readFile(project.file, 'utf8')
      try {
        await writeFile(project.file, settings.replace('"allow_private":true', '"allow_private":false'))
        const { code, output } = await project.command('check')
        expect(code).toBe(1)
        expect(output).toContain('The MCP server "web" cannot be reached')
      } finally {
        await writeFile(project.file, settings)
      }
    })
  })

  async function run(
    threadId: string,
    calls: [name: string, args: Record<string, unknown>][],
  ): Promise<string[]> {
    stage.play(
      { toolCalls: calls.map(([name, args]) => ({ name, args: args as never })) },
      { content: 'Done.' },
    )
    await stage.client.runs.wait(threadId, 'helper', { input: says('Go.') })
    const messages = stage.model.requests.at(-1)?.messages ?? []
    return messages.slice(-calls.length).map(({ content }) => content as string)
  }
  /** What the model reads of each call. */
  const results = Object.assign(
    async (...calls: [string, Record<string, unknown>][]) => await run(await stage.thread(), calls),
    { on: (threadId: string, ...calls: [string, Record<string, unknown>][]) => run(threadId, calls) },
  )
})

function pidsIn(text = ''): number[] {
  const [, ...pids] = /text\\?":\\?"(\d+) (\d+)/.exec(text) ?? []
  return pids.map(Number)
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** The same server by HTTP; its environment is what it is asked with. */
async function startWeb(): Promise<Server> {
  const answer = turncoat()
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const end = (status: number, text = '') => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(text)
      }
      if (request.method !== 'POST') return end(405)
      const asked = JSON.parse(body) as Parameters<typeof answer>[0]
      const reply = answer(asked)
      if (reply === undefined) return end(202)
      if (asked.params?.name === 'environment')
        reply.result = { content: [{ type: 'text', text: JSON.stringify(request.headers) }] }
      end(200, JSON.stringify(reply))
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return server
}
