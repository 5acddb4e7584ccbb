import { expect, test } from 'vitest'
import { onEachDatabase } from '../support/each-database.ts'
import { useKeyedStage } from '../support/keys.ts'
import { says } from '../support/stage.ts'

type Name = 'ada' | 'bob@example.com' | 'eve'

onEachDatabase((database) => {
  const { stage, as } = useKeyedStage<Name>(
    database,
    {
      ada: { roles: ['operator'], tenant: 'north' },
      'bob@example.com': { roles: ['operator'], tenant: 'north' },
      eve: { roles: ['operator'], tenant: 'south' },
    },
    { HOLDPOINT_CONFIG: 'test/support/small/langgraph.json' },
  )

  test('what is remembered comes back in another conversation, to the same person alone', async () => {
    for (const [name, text] of [
      ['ada', 'Ada likes apricots.'],
      ['bob@example.com', 'Bob likes beans.'],
      ['eve', 'Eve likes eggs.'],
    ] as const)
      expect(await answer(name, 'remember', { text })).toContain('{"remembered":true}')
    expect(await answer('ada', 'recall', { words: 'likes what' })).toMatch(/"text":"Ada likes apricots\."/)
    for (const [name, own] of [
      ['ada', 'apricots'],
      ['bob@example.com', 'beans'],
      ['eve', 'eggs'],
    ] as const) {
      const all = await answer(name, 'recall', { limit: 50 })
      for (const word of ['apricots', 'beans', 'eggs'])
        expect([name, word, all.includes(word)]).toEqual([name, word, word === own])
    }
  })

  async function answer(name: Name, tool: string, args: Record<string, unknown>): Promise<string> {
    stage.play({ toolCalls: [{ name: tool, args: args as never }] }, { content: 'Done.' })
    const ended = await as(name, 'POST', '/runs/wait', { assistant_id: 'helper', input: says('Go.') })
    expect(ended.status).toBe(200)
    return stage.model.requests.at(-1)?.messages.at(-1)?.content as string
  }
})
