import { Client } from '@langchain/langgraph-sdk'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { Hold } from '../../../runtime/hold.ts'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase, onPostgres } from '../../support/each-database.ts'
import { release, words } from '../../support/edits/graph.ts'
import { forget, times } from '../../support/grants/journal.ts'
import { type Keyed, useKeyedStage } from '../../support/keys.ts'
import { spawnServer, temporaryDirectory } from '../../support/server.ts'
import { httpOn, says, untilThread } from '../../support/stage.ts'

const PEOPLE = {
  otto: { roles: ['operator'] },
  ada: { roles: ['approver'] },
  ben: { roles: ['approver'] },
  cleo: { roles: ['approver'] },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

const PROJECT = { HOLDPOINT_CONFIG: 'test/support/edits/langgraph.json' }

onEachDatabase((database) => {
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE, PROJECT)
  const { decide, edit, held, pending, client } = playWith(stage, keyOf, as)
  afterAll(forget)
  beforeEach(() => {
    release.version = '1'
  })

  describe('where the tool is known', () => {
    test('an edit is read by the tool’s own schema, shown as it would be done, and done so', async () => {
      const { hold, note } = await held('refund', { order: 'A-1', cents: 500 })
      expect(hold.args_schema).toMatchObject({
        properties: { cents: { type: 'integer' } },
        additionalProperties: false,
      })
      const args = { order: ' A-2 ', cents: 250, note }
      const edited = (await edit('ada', hold, args)).json<Hold>()
      const read = { ...args, order: 'A-2' }
      expect(edited).toMatchObject({
        status: 'pending',
        proposal: { by: 'ada', args: read, preview: { kind: 'text', text: words(read) } },
      })
      stage.model.play([{ content: 'Refunded.' }])
      expect(await decide('ben', hold, edited)).toMatchObject({ status: 200 })
      await untilThread(client('otto'), hold.thread_id, 'idle')
      expect(times(words(read))).toBe(1)
    })

    test.each([
      [
        'what the schema refuses',
        { order: 'B-1', cents: 250 },
        'refund does not take these arguments: order',
      ],
      ['what only a refinement refuses', { order: 'A-1', cents: 251 }, 'cents: must be in steps of 5'],
      ['what it does not name', { order: 'A-1', cents: 250, all: true }, 'all'],
      ['what is missing', { order: 'A-1' }, 'cents'],
    ])('%s is refused with the reason, and the approval waits', async (_what, args, reason) => {
      const { hold } = await held('refund', { order: 'A-1', cents: 500 })
      const answer = await edit('ada', hold, args)
      expect([answer.status, answer.text]).toEqual([422, expect.stringContaining(reason)])
      expect(await pending(hold.thread_id)).toMatchObject({ proposal: null, decisions: [] })
    })

    test('an edit whose arguments are of a higher risk needs as many people as these do', async () => {
      const { hold, note } = await held('refund', { order: 'A-1', cents: 500 })
      const edited = (await edit('ada', hold, { order: 'A-1', cents: 5_000, note })).json<Hold>()
      expect(edited.needs.approvers).toBe(2)
      expect((await decide('ben', hold, edited)).json()).toMatchObject({ status: 'pending' })
    })
  })

  describe('where the tool is not known', () => {
    test('an edit is checked by what the hold says of the tool, and asked again with what it would do', async () => {
      const { hold, note } = await held('refund', { order: 'A-1', cents: 500 })
      release.version = '2'
      const refused = await edit('ada', hold, { order: 'A-1', cents: '5', all: true })
      expect([refused.status, refused.text]).toEqual([422, expect.stringContaining('cents')])
      const args = { order: 'A-2', cents: 250, note }
      const edited = (await edit('ada', hold, args)).json<Hold>()
      expect(edited.proposal).toMatchObject({
        args,
        preview: null,
        no_preview: expect.stringContaining('asked again'),
      })
      release.version = '1'
      await released(hold, edited)
      expect(times(words(args))).toBe(0)
      const again = await pending(hold.thread_id)
      expect(again).toMatchObject({
        replaces: hold.approval_id,
        args,
        preview: { kind: 'text', text: words(args) },
        reason: expect.stringContaining('edited and approved where the tool is not known'),
      })
      // It is ada's wish by now: she does not release it.
      expect(again.requested_by).toEqual(['otto', 'ada'])
      expect(await decide('ada', again)).toMatchObject({ status: 403 })
      stage.model.play([{ content: 'Refunded.' }])
      expect(await decide('ben', again)).toMatchObject({ status: 200 })
      await untilThread(client('otto'), hold.thread_id, 'idle')
      expect(times(words(args))).toBe(1)
    })

    test('what the tool reads as something else is asked again as it reads it', async () => {
      const { hold, note } = await held('label', { text: 'blue' })
      release.version = '2'
      const edited = (await edit('ada', hold, { text: ` ${note} ` })).json<Hold>()
      expect(edited.proposal).toMatchObject({ args: { text: ` ${note} ` }, no_preview: null })
      release.version = '1'
      await released(hold, edited)
      const again = await pending(hold.thread_id)
      expect(again).toMatchObject({
        args: { text: note },
        reason: expect.stringContaining('how the tool reads them'),
      })
      expect([times(`label ${note}`), times(`label  ${note} `)]).toEqual([0, 0])
      stage.model.play([{ content: 'Labelled.' }])
      expect(await decide('ben', again)).toMatchObject({ status: 200 })
      await untilThread(client('otto'), hold.thread_id, 'idle')
      expect(times(`label ${note}`)).toBe(1)
    })

    test('what the tool reads as it was written, and shows nothing of, runs', async () => {
      const { hold, note } = await held('label', { text: 'blue' })
      release.version = '2'
      const edited = (await edit('ada', hold, { text: note })).json<Hold>()
      release.version = '1'
      stage.model.play([{ content: 'Labelled.' }])
      await decide('ben', hold, edited)
      await untilThread(client('otto'), hold.thread_id, 'idle')
      expect(times(`label ${note}`)).toBe(1)
    })

    test('what the tool itself refuses does not run, and the model is told so', async () => {
      const { hold, note } = await held('refund', { order: 'A-1', cents: 500 })
      release.version = '2'
      const args = { order: 'A-1', cents: 251, note }
      const edited = (await edit('ada', hold, args)).json<Hold>()
      release.version = '1'
      stage.model.play([{ content: 'Then not.' }])
      await decide('ben', hold, edited)
      await untilThread(client('otto'), hold.thread_id, 'idle')
      expect(times(words(args))).toBe(0)
      const told = JSON.stringify(stage.model.requests.at(-1)?.messages.at(-1))
      expect(told).toContain('must be in steps of 5')
    })

    test('what is of a higher risk than was asked for needs its people before it runs', async () => {
      const { hold, note } = await held('refund', { order: 'A-1', cents: 500 })
      release.version = '2'
      const args = { order: 'A-1', cents: 5_000, note }
      const edited = (await edit('ada', hold, args)).json<Hold>()
      expect(edited.needs.approvers).toBe(1)
      release.version = '1'
      await released(hold, edited)
      const again = await pending(hold.thread_id)
      expect(again).toMatchObject({ risk: 'high', needs: { approvers: 2 } })
      expect((await decide('ben', again)).json()).toMatchObject({ status: 'pending' })
      stage.model.play([{ content: 'Refunded.' }])
      expect((await decide('cleo', again)).json()).toMatchObject({ status: 'approved' })
      await untilThread(client('otto'), hold.thread_id, 'idle')
      expect(times(words(args))).toBe(1)
    })
  })

  async function released(hold: Hold, edited: Hold): Promise<void> {
    const answer = await decide('ben', hold, edited)
    expect(answer.status).toBe(200)
    await client('otto').runs.join(hold.thread_id, answer.json<Hold>().resumed_run_id ?? '')
    await untilThread(client('otto'), hold.thread_id, 'interrupted')
  }
})

onPostgres((database) => {
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE, PROJECT)
  const { decide, held, pending, client } = playWith(stage, keyOf, as)
  afterAll(forget)

  test('a server that has no worker and not the project takes an edit', { timeout: 60_000 }, async () => {
    release.version = '1'
    const { hold, note } = await held('refund', { order: 'A-1', cents: 500 })
    const dataDir = await temporaryDirectory()
    const door = await spawnServer({ ...database.place, dataDir, env: { HOLDPOINT_WORKERS: '0' } })
    try {
      const args = { order: 'A-3', cents: 15, note }
      const path = `/approvals/${hold.approval_id}/decisions`
      const said = { type: 'edit', args }
      const answer = await httpOn(door.url)('POST', path, said, { 'x-api-key': keyOf('ada') })
      expect(answer).toMatchObject({ status: 200 })
      await decide('ben', hold, answer.json<Hold>())
      await untilThread(client('otto'), hold.thread_id, 'interrupted')
      const again = await pending(hold.thread_id)
      expect(again.preview).toEqual({ kind: 'text', text: words(args) })
      stage.model.play([{ content: 'Refunded.' }])
      await decide('ben', again)
      await untilThread(client('otto'), hold.thread_id, 'idle')
      expect(times(words(args))).toBe(1)
    } finally {
      await door.kill()
    }
  })
})

type Stage = ReturnType<typeof useKeyedStage<Name>>

function playWith(stage: Stage['stage'], keyOf: Stage['keyOf'], as: Stage['as']) {
  const client = (name: Name) =>
    new Client({ apiUrl: stage.url, apiKey: keyOf(name), callerOptions: { maxRetries: 0 } })
  const say = (name: Name, { approval_id }: Hold, decision: object) =>
    as(name, 'POST', `/approvals/${approval_id}/decisions`, decision)
  const pending = async (threadId: string): Promise<Hold> => {
    const answer = await as('otto', 'GET', `/approvals?thread_id=${threadId}&status=pending`)
    const [hold] = answer.json<Hold[]>()
    if (hold === undefined) throw new Error('Nothing waits.')
    return hold
  }
  return {
    client,
    pending,
    edit: (name: Name, hold: Hold, args: object) => say(name, hold, { type: 'edit', args }),
    /** Approves what is proposed there, or the call as it is. */
    decide: (name: Name, hold: Hold, { proposal }: Hold = hold) =>
      say(name, hold, { type: 'approve', ...(proposal ? { args_hash: proposal.args_hash } : {}) }),
    /** Otto's agent wants that. `note` is nobody else's. */
    async held(name: string, args: object): Promise<{ hold: Hold; note: string }> {
      stage.play({ toolCalls: [{ name, args: args as Record<string, string> }] })
      const { thread_id: threadId } = await client('otto').threads.create()
      await client('otto').runs.wait(threadId, 'clerk', { input: says('Do it.') })
      return { hold: await pending(threadId), note: newId() }
    },
  }
}
