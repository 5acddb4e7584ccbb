import { expect, test } from 'vitest'
import { STREAM_MODES } from '../../../runtime/run.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { moment, says, useStage } from '../../support/stage.ts'

const PROJECT = new URL('../../support/modes/langgraph.json', import.meta.url).pathname

interface Streamed {
  event: string
  data: unknown
}

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT })

  async function stream(streamMode: string[], more: object = {}): Promise<Streamed[]> {
    const chunks: Streamed[] = []
    const run = stage.client.runs.stream(await stage.thread(), 'modes', {
      input: says('Go.'),
      streamMode: streamMode as 'values'[],
      ...more,
    })
    for await (const { event, data } of run) chunks.push({ event, data })
    return chunks
  }
  const namesOf = (chunks: Streamed[]) => [...new Set(chunks.map(({ event }) => event))].toSorted()

  test.each([
    ['values', ['metadata', 'values']],
    ['updates', ['metadata', 'updates']],
    ['messages', ['messages/complete', 'metadata']],
    ['messages-tuple', ['messages', 'metadata']],
    ['custom', ['custom', 'metadata']],
    ['tasks', ['metadata', 'tasks']],
    ['checkpoints', ['checkpoints', 'metadata']],
    ['debug', ['debug', 'metadata']],
    ['events', ['events', 'metadata']],
    ['tools', ['metadata', 'tools']],
  ])('%s sends these events and no others', async (mode, expected) => {
    const chunks = await stream([mode])
    expect(namesOf(chunks)).toEqual(expected)
    expect(chunks[0]).toMatchObject({ event: 'metadata', data: { attempt: 1 } })
    expect(chunks.at(-1)?.event).not.toBe('end')
  })

  test('with stream_subgraphs the names say where: task ids and nothing else', async () => {
    const chunks = await stream(['updates', 'tools'], { streamSubgraphs: true })
    const inside = namesOf(chunks).filter((name) => name.includes('|'))
    expect(inside.length).toBeGreaterThan(0)
    for (const name of inside)
      expect(name).toMatch(/^(updates|tools)(\|works:[0-9a-f-]{36})(\|calls:[0-9a-f-]{36})?$/)
    const tools = chunks.filter(({ event }) => event.startsWith('tools')).map(({ data }) => data)
    expect(tools).toMatchObject([
      { event: 'on_tool_start', name: 'double' },
      { event: 'on_tool_end', name: 'double' },
    ])
  })

  test('events are those of LangChain, each once, and none of them tells of our services', async () => {
    const chunks = await stream(['events'])
    const events = chunks
      .filter(({ event }) => event === 'events')
      .map(({ data }) => data as { event: string })
    const tools = events.filter(({ event }) => event.startsWith('on_tool'))
    expect(tools).toMatchObject([
      { event: 'on_tool_start', name: 'double' },
      { event: 'on_tool_end', name: 'double', data: { output: { type: 'tool', content: '42' } } },
    ])
    expect(JSON.stringify(chunks)).not.toMatch(/__pregel_checkpointer|lease_token|postgres:/)
  })

  test('checkpoints in the stream are where the history has them, in subgraphs too', async () => {
    interface Told {
      checkpoint: { checkpoint_ns: string; checkpoint_map?: object }
      parent_checkpoint: object | null
      config: { configurable: object }
      parent_config: { configurable: object } | null
    }
    const threadId = await stage.thread()
    const run = stage.client.runs.stream(threadId, 'modes', {
      input: says('Go.'),
      streamMode: 'debug',
      streamSubgraphs: true,
      config: { configurable: { secret: 'for the graph alone' } },
    })
    const told: Told[] = []
    for await (const { data } of run) {
      const debug = data as { type?: string; payload: Told }
      if (debug.type === 'checkpoint') told.push(debug.payload)
    }
    for (const { checkpoint, parent_checkpoint: parent, config, parent_config: parentConfig } of told) {
      expect(config).toEqual({ configurable: checkpoint })
      expect(parentConfig).toEqual(parent && { configurable: parent })
      if (checkpoint.checkpoint_ns !== '') expect(Object.keys(checkpoint.checkpoint_map ?? {})).toContain('')
    }
    expect(told.filter(({ checkpoint }) => checkpoint.checkpoint_ns !== '').length).toBeGreaterThan(0)
    const history = await stage.client.threads.getHistory(threadId, { limit: 100 })
    const root = told.filter(({ checkpoint }) => checkpoint.checkpoint_ns === '')
    expect(
      root.map(({ checkpoint, parent_checkpoint: parent }) => [checkpoint, parent]).toReversed(),
    ).toEqual(history.map(({ checkpoint, parent_checkpoint: parent }) => [checkpoint, parent]))
  })

  test('all modes at once give what each gives alone', async () => {
    const together = await stream([...STREAM_MODES])
    for (const mode of ['values', 'updates', 'custom'] as const) {
      const alone = await stream([mode])
      const count = (chunks: Streamed[]) => chunks.filter(({ event }) => event === mode).length
      expect([mode, count(together)]).toEqual([mode, count(alone)])
    }
  })

  test('every client that joins gets all events of a run, with the ids of the first', async () => {
    const threadId = await stage.thread()
    const run = await stage.client.runs.create(threadId, 'modes', {
      input: says('Go.'),
      streamMode: ['updates', 'values'],
    })
    const join = () => stage.http('GET', `/threads/${threadId}/runs/${run.run_id}/stream`)
    const [a, b] = await Promise.all([join(), join()])
    expect(b.text).toBe(a.text)
    const late = await stage.http('GET', `/threads/${threadId}/runs/${run.run_id}/stream`, undefined, {
      'last-event-id': '-1',
    })
    expect(late.text).toBe(a.text)
    const rest = await stage.http('GET', `/threads/${threadId}/runs/${run.run_id}/stream`, undefined, {
      'last-event-id': '1',
    })
    expect(a.text.endsWith(rest.text)).toBe(true)
    expect(rest.text).toMatch(/^event: .*\ndata: .*\nid: 2\n/)
  })

  test('a mode that there is not is refused', async () => {
    const body = { assistant_id: 'modes', input: says('Go.'), stream_mode: ['nothing'] }
    expect((await stage.http('POST', '/runs/stream', body)).status).toBe(422)
    const threadId = await stage.thread()
    const run = await stage.client.runs.create(threadId, 'modes', { input: says('Go.') })
    const path = `/threads/${threadId}/runs/${run.run_id}/stream`
    expect((await stage.http('GET', `${path}?stream_mode=nothing`)).status).toBe(422)
    const joined = await stage.http('GET', `${path}?stream_mode=["values"]`)
    expect([...joined.text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name)).toContain('values')
  })
})

onEachDatabase((database) => {
  const stage = useStage(database)

  test.each([
    ['values', 'tool_result'],
    ['updates', 'tool_result'],
    ['messages', 'tool_result'],
    ['messages-tuple', 'tool_result'],
    ['tasks', 'tool_result'],
    ['checkpoints', 'tool_result'],
    ['debug', 'tool_result'],
    ['custom', 'tool_done'],
    ['events', 'tool_result'],
    ['tools', 'on_tool_end'],
  ])('%s tells what a step did while the next one is at work', async (streamMode, word) => {
    const told = moment()
    stage.play({ toolCalls: [{ name: 'list_files', args: {} }] }, async () => {
      await told.reached
      return { content: 'Nothing is there.' }
    })
    const run = stage.client.runs.stream(await stage.thread(), 'react', {
      input: says('What is there?'),
      streamMode: streamMode as 'values',
    })
    for await (const { data } of run) if (JSON.stringify(data).includes(word)) told.reach()
    await told.reached
  })
})
