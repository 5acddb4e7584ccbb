import { describe, expect, test } from 'vitest'
import { onEmbedded } from '../../support/each-database.ts'
import { useStage } from '../../support/stage.ts'

const STATES = new URL('../../support/states/langgraph.json', import.meta.url).pathname

onEmbedded((database) => {
  describe('LangGraph Studio', () => {
    const origin = 'https://smith.langchain.com'
    const stage = useStage(database, { HOLDPOINT_CONFIG: STATES, HOLDPOINT_CORS_ORIGINS: origin })
    const studio = { origin, 'x-auth-scheme': 'langsmith' }

    test('asks before it calls, from the internet to this machine', async () => {
      const asks = {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,x-auth-scheme',
        'access-control-request-private-network': 'true',
      }
      const answer = await stage.http('OPTIONS', '/threads', undefined, asks)
      expect(answer.status).toBe(204)
      expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
      expect(answer.headers.get('access-control-allow-headers')).toContain('x-auth-scheme')
      expect(answer.headers.get('access-control-allow-private-network')).toBe('true')
    })

    test('reads the graph, runs it, changes its state in the past and goes on from there', async () => {
      const call = async <T>(method: string, path: string, body?: object): Promise<T> => {
        const text = body === undefined ? undefined : JSON.stringify(body)
        const answer = await stage.http(method, path, text, {
          ...studio,
          'content-type': 'text/plain;charset=UTF-8',
        })
        expect([answer.status, answer.headers.get('access-control-allow-origin')], path).toEqual([
          200,
          origin,
        ])
        return answer.json<T>()
      }
      const { version } = await call<{ version: string }>('GET', '/info')
      expect(version).toMatch(/^\d+\.\d+\.\d+/)
      const assistants = await call<{ assistant_id: string; graph_id: string }[]>(
        'POST',
        '/assistants/search',
        {
          limit: 100,
          offset: 0,
          metadata: { created_by: 'system' },
        },
      )
      const id = assistants.find(({ graph_id }) => graph_id === 'steps')?.assistant_id
      expect(await call('GET', `/assistants/${id}/schemas`)).toMatchObject({ graph_id: 'steps' })
      const graph = await call<{ nodes: { id: string }[] }>('GET', `/assistants/${id}/graph?xray=true`)
      expect(graph.nodes.map((node) => node.id)).toEqual(['__start__', 'first', 'asks', 'last', '__end__'])

      const { thread_id: threadId } = await call<{ thread_id: string }>('POST', '/threads', { metadata: {} })
      const thread = `/threads/${threadId}`
      const run = { assistant_id: id, stream_mode: ['debug', 'messages'], stream_subgraphs: true }
      const stream = async (more: object) => {
        const { status, text } = await stage.http(
          'POST',
          `${thread}/runs/stream`,
          { ...run, ...more },
          studio,
        )
        expect(status).toBe(200)
        expect(text).not.toContain('event: error')
        return text
      }
      expect(await stream({ input: { trail: [] } })).toContain('"parent_checkpoint"')

      interface State {
        next: string[]
        values: { trail: string[] }
        checkpoint: { checkpoint_id: string }
      }
      const history = await call<State[]>('POST', `${thread}/history`, { limit: 1000 })
      expect(history.map(({ next }) => next)).toEqual([['asks'], ['first'], ['__start__']])
      const before = history[1]?.checkpoint.checkpoint_id
      expect(await call(`GET`, `${thread}/state/${before}`)).toEqual(history[1])
      const { checkpoint } = await call<{ checkpoint: { checkpoint_id: string } }>(
        'POST',
        `${thread}/state`,
        {
          values: { trail: ['by hand'] },
          as_node: 'first',
          checkpoint_id: before,
        },
      )
      const { checkpoint_id } = checkpoint
      await stream({ input: null, checkpoint_id })
      await stream({ command: { resume: 'Yes' } })
      const state = await call<State>('GET', `${thread}/state?subgraphs=true`)
      expect([state.next, state.values]).toEqual([[], { trail: ['by hand', 'answer: Yes', 'last'] }])
      const all = await call<State[]>('POST', `${thread}/history`, { limit: 1000 })
      expect(all).toEqual(expect.arrayContaining(history.slice(1)))
    })
  })
})
