import { Client } from '@langchain/langgraph-sdk'
import { expect, test } from 'vitest'
import { onEmbedded } from '../../support/each-database.ts'
import { useKeyedStage } from '../../support/keys.ts'
import { mailTo, says, untilThread } from '../../support/stage.ts'

const PROJECT = new URL('../../support/members/langgraph.json', import.meta.url).pathname
const POLICY = new URL('../../support/quorum/policy.json', import.meta.url).pathname

onEmbedded((database) => {
  const { stage, keyOf } = useKeyedStage(
    database,
    { nora: { roles: ['operator'] }, kim: { roles: ['approver'], tenant: 'acme' } },
    { HOLDPOINT_CONFIG: PROJECT, HOLDPOINT_POLICY: POLICY },
  )
  const asking = (said: string, method: string, path: string, body?: unknown) =>
    stage.http(method, path, body, { authorization: `Bearer ${said}` })
  const client = (said: string) =>
    new Client({
      apiUrl: stage.url,
      apiKey: null,
      defaultHeaders: { authorization: `Bearer ${said}` },
      callerOptions: { maxRetries: 0 },
    })

  test('roles and the tenant are what the project says, and its people and owners of keys decide together', async () => {
    const otto = client('otto/acme/operator,approver')
    const { thread_id: id } = await otto.threads.create()
    stage.play({ toolCalls: [mailTo('senior-members')] }, { content: 'Done.' })
    await otto.runs.wait(id, 'react', { input: says('Mail.') })
    await untilThread(otto, id, 'interrupted')
    const [hold] = (await asking('otto/acme/viewer', 'GET', `/approvals?thread_id=${id}`)).json<
      { approval_id: string }[]
    >()
    const path = `/approvals/${hold?.approval_id}/decisions`
    const approve = { type: 'approve' }
    for (const [said, status, words] of [
      ['otto/acme/operator,approver', 403, /^self_approval/],
      ['vera/acme/viewer', 403, /needs the role approver; vera has viewer/],
      ['robot/acme/approver', 403, /robot is an agent/],
      ['ada/globex/approver', 404, /does not exist/],
      ['ada', 404, /does not exist/],
    ] as const) {
      const answer = await asking(said, 'POST', path, approve)
      expect([answer.status, answer.text], said).toEqual([status, expect.stringMatching(words)])
    }
    const kim = await stage.http('POST', path, approve, { 'x-api-key': keyOf('kim') })
    expect(kim.json()).toMatchObject({ status: 'pending', votes: [{ by: 'kim', senior: false }] })
    // By name, whichever way they came in.
    expect((await asking('kim/acme/approver', 'POST', path, approve)).status).toBe(409)
    const sam = await asking('sam/acme/senior', 'POST', path, approve)
    expect(sam.json()).toMatchObject({
      status: 'approved',
      votes: [{ by: 'kim' }, { by: 'sam', senior: true }],
    })
    await untilThread(otto, id, 'idle')
    expect((await asking('vera/acme/viewer', 'POST', '/threads', {})).status).toBe(403)
  })

  test('an interrupt that is no hold is answered by those who may start runs', async () => {
    const otto = client('otto/acme/operator')
    const { thread_id: id } = await otto.threads.create()
    await otto.runs.wait(id, 'questions', { input: { answers: [] } })
    await untilThread(otto, id, 'interrupted')
    const resume = { command: { resume: 'yes' } }
    await expect(client('ada/acme/approver').runs.wait(id, 'questions', resume)).rejects.toThrow(
      /needs the role operator/,
    )
    await otto.runs.wait(id, 'questions', resume)
  })

  test('of whom no role is said the handlers say all, but no senior is among them', async () => {
    expect((await asking('ada', 'POST', '/threads', {})).status).toBe(200)
    expect((await asking('ada', 'GET', '/metrics')).status).toBe(200)
    // Of keys and people only an admin by name reads.
    expect((await asking('ada', 'GET', '/audit?kind=key.created')).json()).toEqual([])
    expect((await asking('ada//admin', 'GET', '/audit?kind=key.created')).json()).toHaveLength(1)
  })

  test('the owner of a key has to have the role, and the handler’s leave', async () => {
    const key = { 'x-api-key': keyOf('nora') }
    const made = await stage.http('POST', '/threads', {}, key)
    const { thread_id: id } = made.json<{ thread_id: string }>()
    const gone = await stage.http('DELETE', `/threads/${id}`, undefined, key)
    expect([gone.status, gone.text]).toEqual([403, 'Not authorized'])
    const stranger = await stage.http('POST', '/threads', {}, { 'x-api-key': 'lsv2_other' })
    expect([stranger.status, stranger.text]).toEqual([401, 'Who are you?'])
  })
})
