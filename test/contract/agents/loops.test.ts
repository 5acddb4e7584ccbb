import { expect, test } from 'vitest'
import { onBothDatabases } from '../../support/each-database.ts'
import type { ScriptedStep } from '../../support/scripted-model.ts'
import { says, useStage } from '../../support/stage.ts'

interface Values {
  messages: { type: string; content: string }[]
  end_reason: string | null
}

const LIST = { name: 'list_files', args: {} }

onBothDatabases((database) => {
  const stage = useStage(database)

  test.each([
    ['has the same answer', () => LIST],
    ['fails in the same way', () => ({ name: 'read_file', args: { path: 'missing.txt' } })],
    ['is no call of its tool', () => ({ name: 'read_file', args: { pfad: 'x' } })],
    ['is for a tool that it does not have', () => ({ name: 'rm', args: { a: 1, b: 2 } })],
    [
      'says the same in another order',
      (n: number) => ({ name: 'rm', args: n % 2 === 0 ? { a: 1, b: 2 } : { b: 2, a: 1 } }),
    ],
  ])('a call that %s is not run a fourth time, and an agent that insists is stopped', async (_, call) => {
    const steps = Array.from({ length: 5 }, (_step, n): ScriptedStep => ({ toolCalls: [call(n)] }))
    const { values, results } = await run(steps)
    expect(results).toHaveLength(5)
    expect(new Set(results.slice(0, 3)).size).toBe(1)
    for (const result of results.slice(3)) {
      expect(result).toContain('"code":"DENIED"')
      expect(result).toContain('was called 3 times with exactly these arguments')
    }
    expect(values.end_reason).toBe('loop')
  })

  test('an agent that is told so once can still end its task', async () => {
    const four = Array.from({ length: 4 }, (): ScriptedStep => ({ toolCalls: [LIST] }))
    const { values } = await run([...four, { content: 'There are no files.' }])
    expect(values.end_reason).toBe('completed')
    expect(values.messages.at(-1)?.content).toBe('There are no files.')
  })

  test('other arguments, and answers that change, are no loop', async () => {
    const write = (n: number): ScriptedStep => ({
      toolCalls: [{ name: 'write_file', args: { path: `${n}.txt`, content: 'x' } }, LIST],
    })
    const { values, results } = await run([...[1, 2, 3, 4, 5, 6].map(write), { content: 'Written.' }])
    expect(results.filter((result) => result.includes('DENIED'))).toEqual([])
    expect(values.end_reason).toBe('completed')
  })

  test('a new task begins anew', async () => {
    const threadId = await stage.thread()
    for (let task = 0; task < 3; task++) {
      const two: ScriptedStep[] = [{ toolCalls: [LIST] }, { toolCalls: [LIST] }, { content: 'None.' }]
      const { values } = await run(two, threadId)
      expect(values.end_reason).toBe('completed')
    }
  })

  test('a specialist that loops is a report that its supervisor goes on with', async () => {
    const route = (next: string): ScriptedStep => ({ json: { next, task: 'List.', answer: 'It failed.' } })
    const five = Array.from({ length: 5 }, (): ScriptedStep => ({ toolCalls: [LIST] }))
    const { values } = await run([route('researcher'), ...five, route('finish')], undefined, 'supervisor')
    expect(values.end_reason).toBe('completed')
    expect(JSON.stringify(stage.model.requests.at(-1)?.messages)).toContain('it ended early (loop)')
  })

  async function run(steps: ScriptedStep[], threadId?: string, agent = 'react') {
    stage.play(...steps)
    const values = (await stage.client.runs.wait(threadId ?? (await stage.thread()), agent, {
      input: says('List the files.'),
    })) as unknown as Values
    const results = values.messages.filter(({ type }) => type === 'tool').map(({ content }) => content)
    return { values, results }
  }
})
