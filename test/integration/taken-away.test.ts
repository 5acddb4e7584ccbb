import { describe, expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { newId } from '../../runtime/ids.ts'
import { onEachDatabase } from '../support/each-database.ts'
import {
  mailsAbout,
  mailTo,
  moment,
  says,
  silent,
  untilRun,
  untilThread,
  useStage,
} from '../support/stage.ts'

onEachDatabase((database) => {
  const stage = useStage(database)

  describe('a run that came in place of a pause, and did nothing, leaves it as it was:', () => {
    const dropped = {
      'cancelled before it began': (run: string) => cancel(run, 'interrupt'),
      'rolled back before it began': (run: string) => cancel(run, 'rollback'),
      'deleted before it began': (run: string) => stage.http('DELETE', run),
    }
    test.each(Object.entries(dropped))('%s', async (_, drop) => {
      const waiting = await held()
      const run = await later(waiting.threadId, 'interrupt')
      expect(await stage.holds(waiting.threadId)).toMatchObject([{ status: 'cancelled' }])
      await drop(run)
      await expectAsBefore(waiting)
    })

    test('a goto that is cancelled', async () => {
      const waiting = await held()
      const run = await queued(waiting.threadId, { command: { goto: 'stop' }, after_seconds: 3_600 })
      expect(await stage.holds(waiting.threadId)).toMatchObject([{ status: 'cancelled' }])
      await cancel(run, 'interrupt')
      await expectAsBefore(waiting)
    })

    test.each(['interrupt', 'rollback'] as const)(
      'two of them, of which the second takes the place of the first with "%s"',
      async (strategy) => {
        const waiting = await held()
        await later(waiting.threadId, 'interrupt')
        const second = await later(waiting.threadId, strategy)
        expect(await stage.holds(waiting.threadId)).toMatchObject([{ status: 'cancelled' }])
        await cancel(second, 'interrupt')
        await expectAsBefore(waiting)
      },
    )

    test('one that has begun, and is rolled back', async () => {
      const waiting = await held()
      const asked = moment()
      stage.model.play([silent(asked)])
      const run = await queued(waiting.threadId, {
        input: says('Something else.'),
        multitask_strategy: 'interrupt',
      })
      await asked.reached
      await cancel(run, 'rollback')
      await expect.poll(async () => (await stage.http('GET', run)).status, { timeout: 15_000 }).toBe(404)
      await expectAsBefore(waiting)
    })
  })

  test('what waits behind a pause goes on waiting when the run that came in its place is dropped', async () => {
    const waiting = await held()
    const behind = await queued(waiting.threadId, { input: says('And then?') })
    await cancel(await later(waiting.threadId, 'interrupt'), 'interrupt')
    // The one that waited was stopped by the one that was dropped.
    expect((await stage.http('GET', behind)).json()).toMatchObject({ status: 'interrupted' })
    const again = await queued(waiting.threadId, { input: says('And then?') })
    expect((await stage.http('GET', again)).json()).toMatchObject({ status: 'pending' })
    stage.model.play([{ content: 'Mailed.' }, { content: 'Nothing.' }])
    await approve(waiting)
    await untilRun(stage.client, waiting.threadId, again.split('/').at(-1) ?? '', 'success')
    expect(await mailsAbout(waiting.subject, stage.mails)).toBe(1)
  })

  test('one that has gone on by itself leaves nothing to decide, however it ends', async () => {
    const waiting = await held()
    const asked = moment()
    stage.model.play([silent(asked)])
    const run = await queued(waiting.threadId, {
      input: says('Something else.'),
      multitask_strategy: 'interrupt',
    })
    await asked.reached
    await cancel(run, 'interrupt')
    await untilThread(stage.client, waiting.threadId, 'idle')
    expect(await stage.client.threads.get(waiting.threadId)).toMatchObject({ interrupts: {} })
    expect(await stage.holds(waiting.threadId)).toMatchObject([{ status: 'cancelled' }])
    expect((await stage.decide(waiting.hold.approval_id, { type: 'approve' })).status).toBe(409)
    expect(await mailsAbout(waiting.subject, stage.mails)).toBe(0)
  })

  interface Waiting {
    threadId: string
    subject: string
    hold: Hold
  }

  async function held(): Promise<Waiting> {
    const subject = newId()
    stage.model.play([{ toolCalls: [mailTo(subject)] }])
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
    const [hold] = await stage.holds(threadId)
    if (hold === undefined) throw new Error('Nothing is held.')
    return { threadId, subject, hold }
  }

  /** The run's path. */
  async function queued(threadId: string, more: object): Promise<string> {
    const answer = await stage.http('POST', `/threads/${threadId}/runs`, { assistant_id: 'react', ...more })
    return `/threads/${threadId}/runs/${answer.json<{ run_id: string }>().run_id}`
  }

  const later = (threadId: string, strategy: string) =>
    queued(threadId, {
      input: says('Something else.'),
      multitask_strategy: strategy,
      after_seconds: 3_600,
    })

  const cancel = (run: string, action: string) => stage.http('POST', `${run}/cancel?action=${action}`)

  const approve = async ({ hold }: Waiting) => {
    expect((await stage.decide(hold.approval_id, { type: 'approve' })).json()).toMatchObject({
      status: 'approved',
    })
  }

  /** Thread, interrupts and approval say the same, and the approval does what it did before. */
  async function expectAsBefore(waiting: Waiting): Promise<void> {
    const { threadId, subject, hold } = waiting
    const thread = await stage.client.threads.get(threadId)
    expect(thread.status).toBe('interrupted')
    expect(
      Object.values(thread.interrupts)
        .flat()
        .map(({ id }) => id),
    ).toEqual([hold.interrupt_id])
    expect(await stage.holds(threadId)).toMatchObject([
      { approval_id: hold.approval_id, status: 'pending', votes: [] },
    ])
    stage.model.play([{ content: 'Mailed.' }])
    await approve(waiting)
    await untilThread(stage.client, threadId, 'idle')
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
  }
})
