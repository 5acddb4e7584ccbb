import { beforeAll, describe, expect, inject, test } from 'vitest'
import { AGENT_TOOLS } from '../../../graphs/agent-tools.ts'
import type { ChatRequest } from '../../../models/chat-protocol/request.ts'
import { onBothDatabases, onPostgres } from '../../support/each-database.ts'
import { useShop } from '../../support/shop/shop.ts'
import { says, type Stage, useStage } from '../../support/stage.ts'

const named = ({ tools }: ChatRequest) => (tools ?? []).map((tool) => tool.function.name)
const ALL = AGENT_TOOLS.map(({ name }) => name)
const STEPS = { json: { steps: [{ id: 'a', goal: 'Compute.', tools: [], depends_on: [] }] } }

async function run(stage: Stage, agent: string, configurable: object = {}): Promise<string> {
  const threadId = await stage.thread()
  const config = { configurable: configurable as Record<string, unknown> }
  await stage.client.runs.wait(threadId, agent, { input: says('Compute.'), config })
  return threadId
}

onBothDatabases((database) => {
  const stage = useStage(database)

  test('react and every step of a plan have all that is set up', async () => {
    const setUp = ALL.filter((name) => name !== 'sql_query')
    stage.play({ content: 'Hello.' })
    await run(stage, 'react')
    expect(stage.model.requests.map(named)).toEqual([setUp])
    stage.play(STEPS, { content: '2' }, { content: 'It is 2.' })
    await run(stage, 'plan_and_solve')
    expect(named(stage.model.requests[1] as ChatRequest)).toEqual(setUp)
    for (const name of setUp)
      expect(JSON.stringify(stage.model.requests[0]?.messages)).toContain(`- ${name}: `)
  })

  test('an assistant has the tools that its configuration names, and no others', async () => {
    const { assistant_id } = await stage.client.assistants.create({
      graphId: 'react',
      config: { configurable: { tools: ['calculator', 'sql_execute'] } },
    })
    stage.play(
      {
        toolCalls: [
          { name: 'calculator', args: { expression: '0.1 + 0.2' } },
          { name: 'list_files', args: {} },
          // It is not the graph's: a configuration adds nothing.
          { name: 'sql_execute', args: { statement: 'delete from orders' } },
        ],
      },
      { content: '0.3' },
    )
    const threadId = await run(stage, assistant_id)
    expect(stage.model.requests.map(named)).toEqual([['calculator'], ['calculator']])
    const results = stage.model.requests[1]?.messages.slice(-3).map(({ content }) => content as string)
    expect(results?.[0]).toContain('0.3')
    expect(results?.[1]).toContain('This agent has no tool \\"list_files\\". It has: calculator.')
    expect(results?.[2]).toContain('This agent has no tool \\"sql_execute\\"')
    expect(await stage.holds(threadId)).toEqual([])
  })

  test('the steps of a plan have no more than its run', async () => {
    stage.play(
      STEPS,
      { toolCalls: [{ name: 'list_files', args: {} }] },
      { content: 'None.' },
      { content: '2' },
    )
    await run(stage, 'plan_and_solve', { tools: ['calculator'] })
    expect(JSON.stringify(stage.model.requests[0]?.messages)).not.toContain('- list_files')
    expect(named(stage.model.requests[1] as ChatRequest)).toEqual(['calculator'])
    expect(JSON.stringify(stage.model.requests[2]?.messages.at(-1))).toContain('no tool')
  })

  test('a list that is none ends the run, and says what to write', async () => {
    await expect(run(stage, 'react', { tools: 'calculator' })).rejects.toThrow(/must be a list of names/)
  })
})

describe.skipIf(inject('services').postgres === null)('with a database for the agents', () => {
  const shop = useShop()
  onPostgres((database) => {
    const env: Record<string, string> = {}
    beforeAll(() => {
      Object.assign(env, {
        HOLDPOINT_SQL_URL: shop.url,
        HOLDPOINT_SQL_TABLES: shop.settings.tables.join(','),
      })
    })
    const stage = useStage(database, env)

    test('react, the steps and two specialists query it', async () => {
      const query = {
        toolCalls: [{ name: 'sql_query', args: { query: 'select count(*) from orders where not paid' } }],
      }
      const route = (next: string) => ({ json: { next, task: 'Count.', answer: '1000' } })
      const done = { content: '1000' }
      const scripts = {
        react: [query, done],
        plan_and_solve: [STEPS, query, done, done],
        supervisor: [
          route('researcher'),
          query,
          done,
          route('analyst'),
          query,
          done,
          route('operator'),
          done,
          route('finish'),
        ],
      }
      for (const [agent, script] of Object.entries(scripts)) {
        stage.play(...script)
        await run(stage, agent)
        const given = stage.model.requests.map(named).filter((tools) => tools.length > 0)
        const asked = stage.model.requests.filter(({ messages }) =>
          JSON.stringify(messages.at(-1)).includes('[[1000]]'),
        )
        expect([agent, asked.length]).toEqual([agent, agent === 'supervisor' ? 2 : 1])
        expect(given.at(-1)?.includes('sql_query')).toBe(agent !== 'supervisor')
      }
    })
  })
})
