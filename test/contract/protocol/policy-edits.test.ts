import { Client } from '@langchain/langgraph-sdk'
import { beforeEach, expect, test } from 'vitest'
import type { Hold } from '../../../runtime/hold.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { type Keyed, useKeyedStage } from '../../support/keys.ts'
import { usePolicyFile } from '../../support/policy-file.ts'
import { says, untilThread } from '../../support/stage.ts'

const PEOPLE = {
  otto: { roles: ['operator'] },
  ada: { roles: ['approver'] },
  ben: { roles: ['approver'] },
  vera: { roles: ['viewer', 'operator'] },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

const PATH = 'plan.txt'
const HELD = { path: PATH, content: 'one\n2\n' }
const EDITED = { path: PATH, content: 'one\nzwei\n' }

onEachDatabase((database) => {
  const policy = usePolicyFile()
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE, policy.env)
  const client = (name: Name) =>
    new Client({ apiUrl: stage.url, apiKey: keyOf(name), callerOptions: { maxRetries: 0 } })
  const decide = (name: Name, hold: Hold, decision: object) =>
    as(name, 'POST', `/approvals/${hold.approval_id}/decisions`, decision)
  const write = (threadId: string, content: string) =>
    fetch(`${stage.url}/threads/${threadId}/files/${PATH}`, {
      method: 'PUT',
      body: content,
      headers: { 'x-api-key': keyOf('otto') },
    })
  const file = async (threadId: string) =>
    (await as('otto', 'GET', `/threads/${threadId}/files/${PATH}`)).text
  beforeEach(() => policy.inForce(stage, [{ name: 'files', when: { tool: 'write_file' }, then: 'hold' }]))

  test('those who release an edit see what it would do, and that is what is done', async () => {
    const hold = await held()
    const edited = await editedByAda(hold)
    stage.model.play([{ content: 'Written.' }])
    const args_hash = edited.proposal?.args_hash
    expect((await decide('ben', hold, { type: 'approve', args_hash })).json()).toMatchObject({
      status: 'edited',
    })
    await untilThread(client('otto'), hold.thread_id, 'idle')
    expect(await file(hold.thread_id)).toBe('one\nzwei\n')
  })

  test('an edit that would do something else by now is asked for again, with what it would do', async () => {
    const hold = await held()
    const edited = await editedByAda(hold)
    await write(hold.thread_id, 'uno\ntwo\n')
    const args_hash = edited.proposal?.args_hash
    expect((await decide('ben', hold, { type: 'approve', args_hash })).status).toBe(200)
    await untilThread(client('otto'), hold.thread_id, 'interrupted')
    expect(await file(hold.thread_id)).toBe('uno\ntwo\n')
    const again = await pending(hold.thread_id)
    expect(again).toMatchObject({
      replaces: hold.approval_id,
      args: EDITED,
      preview: { text: '@@ -1,2 +1,2 @@\n-uno\n-two\n+one\n+zwei' },
    })
    stage.model.play([{ content: 'Written.' }])
    expect((await decide('ben', again, { type: 'approve' })).status).toBe(200)
    await untilThread(client('otto'), hold.thread_id, 'idle')
    expect(await file(hold.thread_id)).toBe('one\nzwei\n')
  })

  test('whoever may not edit is shown nothing of what an edit would do', async () => {
    const hold = await held()
    for (const name of ['otto', 'vera'] as const) {
      const answer = await decide(name, hold, { type: 'edit', args: { ...EDITED, path: 'another.txt' } })
      expect([answer.status, answer.text.includes('@@')]).toEqual([403, false])
    }
    expect(await pending(hold.thread_id)).toMatchObject({ proposal: null })
  })

  async function pending(threadId: string): Promise<Hold> {
    const path = `/approvals?thread_id=${threadId}&status=pending`
    const [hold] = (await as('vera', 'GET', path)).json<Hold[]>()
    if (hold === undefined) throw new Error('Nothing waits.')
    return hold
  }

  async function held(): Promise<Hold> {
    stage.play({ toolCalls: [{ name: 'write_file', args: HELD }] })
    const { thread_id: threadId } = await client('otto').threads.create()
    await write(threadId, 'one\ntwo\n')
    await client('otto').runs.wait(threadId, 'react', { input: says('Write.') })
    return await pending(threadId)
  }

  /** What others see of it. */
  async function editedByAda(hold: Hold): Promise<Hold> {
    const edited = await decide('ada', hold, { type: 'edit', args: EDITED })
    expect(edited.json()).toMatchObject({
      status: 'pending',
      preview: { text: '@@ -1,2 +1,2 @@\n one\n-two\n+2' },
      proposal: {
        by: 'ada',
        args: EDITED,
        preview: { kind: 'diff', text: '@@ -1,2 +1,2 @@\n one\n-two\n+zwei' },
        no_preview: null,
      },
    })
    return edited.json<Hold>()
  }
})
