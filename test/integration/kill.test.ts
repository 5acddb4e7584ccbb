import { expect, test, vi } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { newId } from '../../runtime/ids.ts'
import { onEachDatabase, onPostgres } from '../support/each-database.ts'
import { useProcesses } from '../support/processes.ts'
import { holdsOn, httpOn, mailsAbout, mailsIn, mailTo, moment, says, silent, WAIT } from '../support/stage.ts'

// Each starts processes, which wait for their turn on a machine that other tests share.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const { spawn, scripted } = useProcesses()

onEachDatabase((database) => {
  test('a hold outlives its server: it is listed by the next one, approved there, and mails once', async () => {
    const subject = newId()
    const model = await scripted({ toolCalls: [mailTo(subject)] }, { content: 'Mailed.' })
    const options = { ...database.place, modelUrl: model.url }
    const first = await spawn(options)
    const { thread_id: threadId } = await first.client.threads.create()
    await first.client.runs.wait(threadId, 'react', { input: says('Mail it.') })
    const [before] = await holdsOn(first.url, threadId)
    await first.kill()

    const second = await spawn(options)
    const listed = await httpOn(second.url)('GET', '/approvals?status=pending')
    expect(listed.json<Hold[]>()).toEqual([before])
    expect(await second.client.threads.get(threadId)).toMatchObject({ status: 'interrupted' })
    expect(await mailsAbout(subject, () => mailsIn(options.dataDir))).toBe(0)
    const decided = await httpOn(second.url)('POST', `/approvals/${before?.approval_id}/decisions`, {
      type: 'approve',
    })
    expect(decided.status).toBe(200)
    const values = await second.client.runs.join(threadId, decided.json<Hold>().resumed_run_id ?? '')
    expect(values).toMatchObject({ end_reason: 'completed' })
    expect(await second.client.threads.get(threadId)).toMatchObject({ status: 'idle' })
    expect(await mailsAbout(subject, () => mailsIn(options.dataDir))).toBe(1)
    expect(await second.stop()).toBe(0)
  })

  test('a server that is asked to stop hands its run over, and the next one finishes it', async () => {
    const asked = moment()
    const model = await scripted(silent(asked), { content: 'Done by another.' })
    const options = { ...database.place, modelUrl: model.url }
    const first = await spawn(options)
    const { thread_id: threadId } = await first.client.threads.create()
    const run = await first.client.runs.create(threadId, 'react', { input: says('Take long.') })
    await asked.reached
    const stopped = first.stop()
    const second = database.embedded ? (await stopped, await spawn(options)) : await spawn(options)
    const values = await second.client.runs.join(threadId, run.run_id)
    expect(values).toMatchObject({ end_reason: 'completed' })
    expect(await second.client.runs.get(threadId, run.run_id)).toMatchObject({
      status: 'success',
      attempt: 2,
    })
    expect(await stopped).toBe(0)
  })
})

onPostgres((database) => {
  test('a server killed in the middle of a run: another takes over, numbers its events on, and mails once', async () => {
    const subject = newId()
    const asked = moment()
    const model = await scripted(
      { toolCalls: [{ name: 'write_file', args: { path: 'a', content: 'x' } }] },
      silent(asked),
      { toolCalls: [mailTo(subject)] },
      { content: 'Mailed.' },
    )
    const options = { ...database.place, modelUrl: model.url, env: { HOLDPOINT_LEASE_MS: '1000' } }
    const first = await spawn(options)
    const { thread_id: threadId } = await first.client.threads.create()
    const run = await first.client.runs.create(threadId, 'react', {
      input: says('Write, then mail.'),
      streamMode: ['updates', 'custom'],
    })
    await asked.reached
    const second = await spawn(options)
    const reader = await fetch(`${second.url}/threads/${threadId}/runs/${run.run_id}/stream`)
    await first.kill()

    await vi.waitFor(async () => {
      expect(await second.client.runs.get(threadId, run.run_id)).toMatchObject({
        status: 'success',
        attempt: 2,
      })
    }, WAIT)
    const [hold] = await holdsOn(second.url, threadId, 'pending')
    const events = await Array.fromAsync(
      second.client.runs.joinStream(threadId, run.run_id, { lastEventId: '-1' }),
    )
    expect(events.map(({ id }) => id)).toEqual(events.map((_, index) => String(index)))
    const attempts = events.filter(({ event }) => event === 'metadata').map(({ data }) => data)
    expect(attempts).toEqual([
      { run_id: run.run_id, attempt: 1 },
      { run_id: run.run_id, attempt: 2 },
    ])
    // The finished step is not done again; the model is asked again.
    const nodes = events.flatMap(({ event, data }) =>
      event === 'updates' ? Object.keys(data as object) : [],
    )
    expect(nodes.filter((node) => node === 'tools')).toHaveLength(1)
    // A reader who was there all the time saw the same, each once.
    const seen = [...(await reader.text()).matchAll(/^id: (\d+)$/gm)].map(([, id]) => id)
    expect(seen).toEqual(events.map(({ id }) => id))

    const decided = await httpOn(second.url)('POST', `/approvals/${hold?.approval_id}/decisions`, {
      type: 'approve',
    })
    const values = await second.client.runs.join(threadId, decided.json<Hold>().resumed_run_id ?? '')
    expect(values).toMatchObject({ end_reason: 'completed' })
    expect(await mailsAbout(subject, () => mailsIn(database.place.dataDir))).toBe(1)
  })
})
