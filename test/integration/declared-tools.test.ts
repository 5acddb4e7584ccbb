import { convertToOpenAITool } from '@langchain/core/utils/function_calling'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { newId } from '../../runtime/ids.ts'
import { defineTool } from '../../tools/define.ts'
import { calculator } from '../../tools/calculator.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { forget, times } from '../support/grants/journal.ts'
import { usePolicyFile } from '../support/policy-file.ts'
import { mailsAbout, mailTo, says, useStage } from '../support/stage.ts'

const KEY = 'sk-of-the-tests-0123'

interface Values {
  messages: { type: string; content: string; status?: string }[]
}

onEachDatabase((database) => {
  const policy = usePolicyFile({
    HOLDPOINT_CONFIG: 'test/support/declared/langgraph.json',
    HOLDPOINT_TOOL_SECRETS: 'HOLDPOINT_TEST_KEY,HOLDPOINT_TEST_LONGER_KEY',
  })
  beforeAll(() => {
    process.env['HOLDPOINT_TEST_KEY'] = KEY
    process.env['HOLDPOINT_TEST_LONGER_KEY'] = `${KEY}-and-the-rest`
    process.env['HOLDPOINT_TEST_NONE'] = 'not named by the operator'
  })
  const stage = useStage(database, policy.env)
  beforeEach(() => policy.inForce(stage, []))
  afterAll(forget)

  test('a result is what its tool declares: more is left out, and something else is no result', async () => {
    const [right, wrong] = await results(['typed', 'right'], ['typed', 'wrong'])
    expect(right).toContain('{"status":"ok","result":{"total":1}}')
    expect(wrong).toContain('INTERNAL')
    expect(wrong).not.toContain('left out')
  })

  test('a fault is tried again where the effect allows it, and what the model can do better is not', async () => {
    const note = newId()
    const [free, again, once, bad] = await results(
      ['flaky', note],
      ['flaky_again', note],
      ['flaky', `bad ${note}`],
      ['flaky_again', `bad ${note}`],
    )
    expect(free).toContain('{"times":3}')
    expect(again).toContain('{"times":3}')
    for (const told of [once, bad]) expect(told).toContain('Say something else.')
    expect(times(`flaky bad ${note}`)).toBe(1)
    expect(times(`flaky_again bad ${note}`)).toBe(1)
  })

  test('what has its effect once is tried once, and then a person is asked', async () => {
    const note = newId()
    stage.play({ toolCalls: [{ name: 'flaky_once', args: { note } }] })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'agent', { input: says('Go.') })
    expect(times(`flaky_once ${note}`)).toBe(1)
    expect(await stage.holds(threadId)).toMatchObject([{ kind: 'in_doubt', tool: 'flaky_once' }])
    const once = () =>
      defineTool({
        name: 'x',
        description: 'x',
        schema: z.object({}),
        risk: 'low',
        effect: 'once',
        retries: 1,
        run: () => Promise.resolve(null),
      })
    expect(once).toThrow('is not retried')
  })

  test('an error has as many words as a model can use', async () => {
    const [told = ''] = await results(['wordy', 'x'])
    expect(told).toContain('It begins here.xxx')
    expect(told).toContain('1000015 characters')
    expect(told.length).toBeLessThan(9_000)
  })

  test.each(['throws', 'hangs'])(
    'where a probe %s, nobody knows what happened: a person is asked',
    async (note) => {
      stage.play({ toolCalls: [{ name: 'lost', args: { note } }] })
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'agent', { input: says('Go.') })
      expect(await stage.holds(threadId)).toMatchObject([{ kind: 'in_doubt', tool: 'lost' }])
      const state = JSON.stringify(await stage.client.threads.getHistory(threadId))
      expect(state + stage.logLines.join('\n')).not.toContain('sk-of-the-probe')
    },
  )

  test('a secret reaches the tool that declares it, and nobody else', async () => {
    const threadId = await stage.thread()
    const told = await on(
      threadId,
      ['keyed', 'says'],
      ['keyed', 'throws'],
      ['keyed_undeclared', 'x'],
      ['keyed_longer', 'longer'],
    )
    expect(told[0]).toContain(
      '"key [HOLDPOINT_TEST_KEY]":"It says [HOLDPOINT_TEST_KEY], and has 20 characters."',
    )
    expect(told[1]).toContain('401 for [HOLDPOINT_TEST_KEY]')
    expect(told[2]).toContain('failed for a reason of its own')
    // One secret may begin with another.
    expect(told[3]).toContain('"result":"[HOLDPOINT_TEST_LONGER_KEY]"')
    const everything = [
      JSON.stringify(await stage.client.threads.getHistory(threadId)),
      JSON.stringify(stage.model.requests),
      (await stage.http('GET', `/audit?thread_id=${threadId}`)).text,
      stage.logLines.join('\n'),
    ]
    for (const text of everything) expect(text).not.toContain(KEY)
  })

  test('a result that is too long is cut, and an agent that reads files can read it on', async () => {
    const threadId = await stage.thread()
    const [told = ''] = await on(threadId, ['long', 'x'])
    const { truncated } = JSON.parse(told.split('\n')[1] ?? '') as {
      truncated: { shown: number; total: number; rest: string }
    }
    expect(truncated).toMatchObject({ shown: 1_000, rest: expect.stringMatching(/^results\/[\w-]+\.json$/) })
    stage.play(
      { toolCalls: [{ name: 'read_file', args: { path: truncated.rest, offset: truncated.shown } }] },
      { content: 'Read.' },
    )
    await stage.client.runs.wait(threadId, 'agent', { input: says('Read on.') })
    expect(stage.model.requests.at(-1)?.messages.at(-1)?.content).toContain('line 999')
    const [other] = await on(await stage.thread(), ['long', 'x'], 'without_files')
    expect(other).toContain('"truncated":{"shown":1000,"total":')
    expect(other).not.toContain('rest')
  })

  describe('LangChain’s ToolNode', () => {
    test('calls what needs nobody, by the executor', async () => {
      const { messages } = await called('calculator', { expression: '0.1 + 0.2' })
      expect(messages.at(-1)).toMatchObject({
        type: 'tool',
        status: 'success',
        content: expect.stringContaining('{"value":"0.3","exact":true}'),
      })
    })

    test('sends no mail: what needs people is refused, and so is what the policy denies', async () => {
      const subject = newId()
      const { name, args } = mailTo(subject)
      expect((await called(name, args)).messages.at(-1)).toMatchObject({
        status: 'error',
        content: expect.stringContaining("needs a person's approval"),
      })
      // oxlint-disable-next-line unicorn/no-thenable -- the rule of a policy
      await policy.inForce(stage, [{ name: 'no sums', when: { tool: 'calculator' }, then: 'deny' }])
      const { messages, threadId } = await called('calculator', { expression: '1' })
      expect(messages.at(-1)?.content).toContain('no sums')
      expect(await mailsAbout(subject, stage.mails)).toBe(0)
      const record = await stage.http('GET', `/audit?thread_id=${threadId}&kind=call.refused`)
      expect(record.json()).toHaveLength(1)
    })

    test('what it lets out is made once', async () => {
      // oxlint-disable-next-line unicorn/no-thenable -- the rule of a policy
      await policy.inForce(stage, [{ name: 'mail', when: { tool: 'send_email' }, then: 'allow' }])
      const subject = newId()
      const { name, args } = mailTo(subject)
      const { threadId } = await called(name, args)
      expect(await mailsAbout(subject, stage.mails)).toBe(1)
      const effects = await stage.http('GET', `/threads/${threadId}/effects`)
      expect(effects.json()).toMatchObject([{ tool: 'send_email', status: 'done' }])
    })

    async function called(name: string, args: Record<string, unknown>) {
      const threadId = await stage.thread()
      const calls = [{ id: newId(), name, args }]
      const values = (await stage.client.runs.wait(threadId, 'tool_node', {
        input: { messages: [{ type: 'ai', id: newId(), content: '', tool_calls: calls }] },
      })) as unknown as Values
      return { ...values, threadId }
    }
  })

  type Asked = [name: string, note: string]
  const results = async (...asked: Asked[]) => await on(await stage.thread(), ...asked)

  /** What the model reads of each call. */
  async function on(threadId: string, ...asked: (Asked | string)[]): Promise<string[]> {
    const calls = asked.filter((one) => typeof one !== 'string')
    const agent = asked.find((one) => typeof one === 'string') ?? 'agent'
    stage.play({ toolCalls: calls.map(([name, note]) => ({ name, args: { note } })) }, { content: 'Done.' })
    await stage.client.runs.wait(threadId, agent, { input: says('Go.') })
    const messages = stage.model.requests.at(-1)?.messages ?? []
    return messages.slice(-calls.length).map(({ content }) => content as string)
  }
})

test('outside of a run it refuses, and a model of LangChain takes it for one of its own', async () => {
  await expect(calculator.invoke({ expression: '1' })).rejects.toThrow('only inside a Holdpoint run')
  const call = { type: 'tool_call', id: 'c', name: 'calculator', args: { expression: '1' } } as const
  await expect(calculator.invoke(call)).rejects.toThrow('only inside a Holdpoint run')
  expect(convertToOpenAITool(calculator)).toMatchObject({
    type: 'function',
    function: { name: 'calculator', parameters: { required: ['expression'] } },
  })
})
