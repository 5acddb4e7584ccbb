import { expect, test, vi } from 'vitest'
import { onBothDatabases } from '../../support/each-database.ts'
import { says, useStage } from '../../support/stage.ts'

// The first Python of a server waits for the snapshot of its interpreter.
vi.setConfig({ testTimeout: 60_000 })

interface Values {
  messages: { type: string; content: string }[]
}

onBothDatabases((database) => {
  const stage = useStage(database)

  test('an agent writes, edits, searches and computes in Python, and waits for a person before it deletes', async () => {
    stage.play(
      {
        toolCalls: [
          { name: 'write_file', args: { path: 'sales.csv', content: 'item,price\npen,2\ncup,5\n' } },
        ],
      },
      {
        toolCalls: [{ name: 'edit_file', args: { path: 'sales.csv', old_text: 'cup,5', new_text: 'cup,7' } }],
      },
      {
        toolCalls: [
          { name: 'search_files', args: { query: 'cup' } },
          {
            name: 'run_python',
            args: {
              code: "import csv\nsum(int(row['price']) for row in csv.DictReader(open('sales.csv')))",
            },
          },
        ],
      },
      { toolCalls: [{ name: 'delete_file', args: { path: 'sales.csv' } }] },
      { content: 'Done.' },
    )
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Work on the sales.') })
    const { values } = await stage.client.threads.getState<Values>(threadId)
    const results = values.messages.filter(({ type }) => type === 'tool').map(({ content }) => content)
    expect(results[1]).toContain('"changed":true')
    expect(results[2]).toContain('"text":"cup,7"')
    expect(results[3]).toContain('"value":9')

    const [hold] = await stage.holds(threadId)
    expect(hold).toMatchObject({
      tool: 'delete_file',
      status: 'pending',
      preview: { kind: 'diff', path: 'sales.csv', text: expect.stringContaining('-cup,7') },
    })
    const files = () => stage.http('GET', `/threads/${threadId}/files`)
    expect((await files()).text).toContain('sales.csv')
    const decided = await stage.decide(hold?.approval_id ?? '', { type: 'approve' })
    await stage.client.runs.join(threadId, decided.json<{ resumed_run_id: string }>().resumed_run_id)
    expect((await files()).text).not.toContain('sales.csv')
  })
})
