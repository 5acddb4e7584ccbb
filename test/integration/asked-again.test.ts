import { afterAll, beforeEach, expect, test, vi } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { newId } from '../../runtime/ids.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { forget, times } from '../support/grants/journal.ts'
import { deployed, failing } from '../support/grants/tools.ts'
import { says, untilThread, useStage } from '../support/stage.ts'
import { openDatabase } from '../support/storage.ts'

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: 'test/support/grants/langgraph.json' })
  afterAll(forget)
  beforeEach(() => {
    deployed.version = '1'
    deployed.shown = () => Promise.resolve({ kind: 'text', text: 'the same' })
  })

  test('a tool that was deployed anew after the approval is asked for again, and runs then', async () => {
    const { threadId, hold, note } = await held('edition')
    expect(hold.tool_version).toBe('1')
    deployed.version = '2'
    const again = await askedAgain(threadId, hold)
    expect(times(note)).toBe(0)
    expect(again).toMatchObject({
      tool_version: '2',
      replaces: hold.approval_id,
      reason: expect.stringContaining('It was approved for version 1 of the tool, which is now version 2.'),
    })
    await carriedOut(threadId, again)
    expect(times(note)).toBe(1)
  })

  test('what one version of a tool has begun, no other goes on with but by a person’s word', async () => {
    const { threadId, hold, note } = await held('draft')
    const began = (count: number) =>
      vi.waitFor(() => expect(times(`draft ${note}`)).toBe(count), { timeout: 15_000, interval: 20 })
    const stopped = async (decided: Hold) => {
      const answer = await stage.decide(decided.approval_id, { type: 'approve' })
      return async () => {
        const run = `/threads/${threadId}/runs/${answer.json<Hold>().resumed_run_id}`
        await stage.http('POST', `${run}/cancel?wait=1`)
      }
    }
    const stop = await stopped(hold)
    await began(1)
    await stop()
    const goOn = { assistant_id: 'agent', input: null }
    deployed.version = '2'
    await stage.http('POST', `/threads/${threadId}/runs/wait`, goOn)
    const doubt = await pending(threadId)
    expect(doubt).toMatchObject({
      kind: 'in_doubt',
      tool_version: '2',
      reason: expect.stringContaining('was begun by version 1, and is version 2 now'),
    })
    expect(times(`draft ${note}`)).toBe(1)
    // People said so of version 2: what is deployed meanwhile asks once more.
    deployed.version = '3'
    const answer = await stage.decide(doubt.approval_id, { type: 'approve' })
    await stage.client.runs.join(threadId, answer.json<Hold>().resumed_run_id ?? '')
    const again = await pending(threadId)
    expect(again).toMatchObject({ kind: 'in_doubt', tool_version: '3' })
    expect(times(`draft ${note}`)).toBe(1)
    const stopAgain = await stopped(again)
    await began(2)
    await stopAgain()
  })

  // An embedded database has one user, who is the server.
  test.skipIf(database.embedded)(
    'an approval that nobody has used in its time is asked for again',
    async () => {
      const notes = [newId(), newId()]
      stage.model.play([{ toolCalls: notes.map((note) => ({ name: 'put', args: { note } })) }])
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'agent', { input: says('Note both.') })
      const [first, second] = await stage.holds(threadId, 'pending')
      if (first === undefined || second === undefined) throw new Error('Two calls wait.')
      const db = await openDatabase(database.place)
      await stage.decide(first.approval_id, { type: 'approve' })
      const { rows } = await db.query(
        `select round(extract(epoch from expires_at - created_at))::integer as lives from grants where approval_id = $1`,
        [first.approval_id],
      )
      expect(rows).toEqual([{ lives: 14_400 }])
      await db.query('update grants set expires_at = now() where approval_id = $1', [first.approval_id])
      await db.close()
      await approve(second)
      await untilThread(stage.client, threadId, 'interrupted')
      expect(notes.map(times)).toEqual([0, 1])
      const again = await pending(threadId)
      expect(again).toMatchObject({
        replaces: first.approval_id,
        reason: expect.stringMatching(/^It was approved, but too long ago\./),
      })
      await carriedOut(threadId, again)
      expect(notes.map(times)).toEqual([1, 1])
    },
  )

  test('a preview that throws is none, in one line that says why, and then nothing is compared', async () => {
    deployed.shown = failing('The registry does not answer.\nIts stack.')
    const { threadId, hold, note } = await held('shown')
    expect(hold).toMatchObject({
      preview: null,
      preview_hash: null,
      no_preview: 'The registry does not answer.',
    })
    deployed.shown = () => Promise.resolve({ kind: 'text', text: 'something' })
    await carriedOut(threadId, hold)
    expect(times(note)).toBe(1)
  })

  test.each([
    [
      'secrets stay inside',
      () => Promise.reject(new Error('password=1')),
      'it failed for a reason of its own',
    ],
    ['no shape of a preview', () => Promise.resolve({ kind: 'html', html: '<b>' }), 'Invalid'],
    [
      'too large',
      () => Promise.resolve({ kind: 'text', text: 'x'.repeat(65_536) }),
      'and 65536 is the limit',
    ],
  ])('a preview that cannot be shown: %s', async (_what, shown, words) => {
    deployed.shown = shown
    const { threadId, hold, note } = await held('shown')
    expect(hold).toMatchObject({ preview: null, no_preview: expect.stringContaining(words) })
    expect(hold.no_preview).not.toContain('password')
    await carriedOut(threadId, hold)
    expect(times(note)).toBe(1)
  })

  test('a preview that does not come is given up, and its signal tells it so', async () => {
    const given: AbortSignal[] = []
    deployed.shown = (call) => {
      given.push(call.signal)
      return new Promise(() => {})
    }
    const { hold } = await held('shown')
    expect(hold.no_preview).toBe('it took longer than 5000 ms')
    expect(given.map(({ aborted }) => aborted)).toEqual([true])
  })

  test('a preview that fails where it is to be compared releases nothing', async () => {
    const { threadId, hold, note } = await held('shown')
    expect(hold.preview).toEqual({ kind: 'text', text: 'the same' })
    deployed.shown = failing('Gone.')
    const again = await askedAgain(threadId, hold)
    expect([again.preview, again.no_preview, times(note)]).toEqual([null, 'Gone.', 0])
    await carriedOut(threadId, again)
    expect(times(note)).toBe(1)
  })

  async function held(tool: string): Promise<{ threadId: string; note: string; hold: Hold }> {
    const note = newId()
    stage.model.play([{ toolCalls: [{ name: tool, args: { note } }] }])
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'agent', { input: says('Note.') })
    return { threadId, note, hold: await pending(threadId) }
  }

  async function pending(threadId: string): Promise<Hold> {
    const [hold] = await stage.holds(threadId, 'pending')
    if (hold === undefined) throw new Error('Nothing waits.')
    return hold
  }

  async function askedAgain(threadId: string, hold: Hold): Promise<Hold> {
    await approve(hold)
    await untilThread(stage.client, threadId, 'interrupted')
    return await pending(threadId)
  }

  async function carriedOut(threadId: string, hold: Hold): Promise<void> {
    stage.model.play([{ content: 'Noted.' }])
    await approve(hold)
    await untilThread(stage.client, threadId, 'idle')
  }

  async function approve({ approval_id, thread_id }: Hold): Promise<void> {
    const answer = await stage.decide(approval_id, { type: 'approve' })
    expect(answer.status).toBe(200)
    await stage.client.runs.join(thread_id, answer.json<Hold>().resumed_run_id ?? '')
  }
})
