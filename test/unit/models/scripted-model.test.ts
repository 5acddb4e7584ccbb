import { expect, test } from 'vitest'
import { startScriptedModel } from '../../support/scripted-model.ts'
import { client, tool } from './rehearsal-agent.ts'

test('steps are taken in order, each kind of answer over the same protocol', async () => {
  const model = await startScriptedModel([
    { content: 'one' },
    { toolCalls: [{ name: 'list_files', args: { path: 'x' }, id: 'same' }] },
    { json: { next: 'finish' } },
    (request) => ({ content: `${request.messages.length} message` }),
    { answer: { content: 'late' }, delayMs: 30 },
  ])
  const chat = client(model.url).bindTools([tool('list_files')])
  expect((await chat.invoke('a')).text).toBe('one')
  expect((await chat.invoke('b')).tool_calls).toMatchObject([
    { name: 'list_files', args: { path: 'x' }, id: 'same' },
  ])
  expect((await chat.invoke('c')).text).toBe('{"next":"finish"}')
  expect((await chat.invoke('d')).text).toBe('1 message')
  const started = performance.now()
  expect((await chat.invoke('e')).text).toBe('late')
  expect(performance.now() - started).toBeGreaterThan(25)
  expect(model.requests).toHaveLength(5)
  await model.close()
})

test('parallel conversations take the steps that match them', async () => {
  const about = (word: string) => (request: { messages: unknown[] }) =>
    JSON.stringify(request.messages).includes(word)
  const model = await startScriptedModel([
    { match: about('left'), content: 'L', delayMs: 20 },
    { match: about('right'), content: 'R' },
    { match: about('left'), content: 'L2' },
  ])
  const chat = client(model.url)
  const said = await Promise.all(
    ['go right', 'go left', 'left again'].map(async (words) => (await chat.invoke(words)).text),
  )
  expect(said[0]).toBe('R')
  expect(said.slice(1).toSorted()).toEqual(['L', 'L2'])
  await model.close()
})

test('an error step is an HTTP error', async () => {
  const model = await startScriptedModel([{ error: 429 }])
  await expect(client(model.url).invoke('a')).rejects.toMatchObject({ status: 429 })
  await model.close()
})

test('unused steps, and requests without a step, fail at the end', async () => {
  const unused = await startScriptedModel([{ content: 'never said' }])
  await expect(unused.close()).rejects.toThrow('never said')
  const short = await startScriptedModel([])
  await expect(client(short.url).invoke('too much')).rejects.toMatchObject({ status: 400 })
  await expect(short.close()).rejects.toThrow('no step for: "too much"')
})
