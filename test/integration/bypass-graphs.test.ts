import { afterAll, describe, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { forget, times } from '../support/grants/journal.ts'
import { useStage } from '../support/stage.ts'

interface Values {
  messages: { content: string }[]
}

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: 'test/support/grants/langgraph.json' })
  afterAll(forget)

  describe('a graph of a project that has no hold runs nothing', () => {
    const called = (name: string, note: string) => ({
      messages: [
        { type: 'ai', id: newId(), content: '', tool_calls: [{ id: newId(), name, args: { note } }] },
      ],
    })

    test.each([
      ['no_hold', 'put', /needs a person's approval for exactly these arguments, and has none/],
      ['no_hold', 'peek', /needs a person's approval for exactly these arguments, and has none/],
      ['no_hold', 'relay', /runs only as a call of a message/],
      ['tool_node', 'put', /needs a person's approval for exactly these arguments, and has none/],
    ])('%s, %s', async (graph, tool, words) => {
      const note = newId()
      const threadId = await stage.thread()
      const values = (await stage.client.runs.wait(threadId, graph, {
        input: called(tool, note),
      })) as unknown as Values
      expect(values.messages.at(-1)?.content).toMatch(words)
      expect(times(note)).toBe(0)
    })

    test('by_hand, in every way that a tool can be called', async () => {
      const note = newId()
      const threadId = await stage.thread()
      const values = (await stage.client.runs.wait(threadId, 'by_hand', {
        input: called('put', note),
      })) as unknown as Values
      const words = values.messages.at(-1)?.content.split('\n') ?? []
      expect(words).toEqual([
        ...Array.from({ length: 3 }, () => expect.stringContaining('runs only as a call of a message')),
        expect.stringContaining('TypeError'),
      ])
      expect(times(note)).toBe(0)
    })
  })
})
