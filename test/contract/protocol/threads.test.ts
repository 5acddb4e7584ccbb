import { describe, expect, test, vi } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { mailsAbout, mailTo, says, untilThread, useStage, WAIT } from '../../support/stage.ts'

onEachDatabase((database) => {
  const stage = useStage(database)
  const talked = async (...answers: string[]) => {
    const threadId = await stage.thread()
    for (const content of answers) {
      stage.play({ content })
      await stage.client.runs.wait(threadId, 'react', { input: says('Go on.') })
    }
    return threadId
  }

  describe('search and count', () => {
    test('threads are counted as they are found', async () => {
      const mark = newId()
      for (let made = 0; made < 3; made += 1) await stage.client.threads.create({ metadata: { mark } })
      expect(await stage.client.threads.count({ metadata: { mark } })).toBe(3)
      expect(await stage.client.threads.count({ metadata: { mark }, status: 'busy' })).toBe(0)
      expect(await stage.client.threads.search({ metadata: { mark } })).toHaveLength(3)
    })

    test('a search sends the fields that it selects, and what it extracts from the state', async () => {
      const threadId = await talked('The first word.', 'The last word.')
      const [found] = await stage.client.threads.search({
        ids: [threadId],
        select: ['thread_id', 'status'],
        extract: {
          last: 'values.messages[-1].content',
          count: 'values.messages[3].type',
          none: 'values.messages[99].content',
        },
      })
      expect(found).toEqual({
        thread_id: threadId,
        status: 'idle',
        extracted: { last: 'The last word.', count: 'ai', none: null },
      })
      for (const extract of [{ a: '__proto__' }, { a: 'values..x' }, { a: 'values[x]' }]) {
        const answer = await stage.http('POST', '/threads/search', { extract })
        expect(answer.status, JSON.stringify(extract)).toBe(422)
      }
    })
  })

  describe('how long a thread stays', () => {
    test('a thread says its time to those who ask for it', async () => {
      const thread = await stage.client.threads.create({ ttl: 30 })
      expect(thread).not.toHaveProperty('ttl')
      const asked = await stage.client.threads.get(thread.thread_id, { include: ['ttl'] })
      expect(asked).toMatchObject({ ttl: { strategy: 'delete', ttl_minutes: 30 } })
      const { expires_at } = (asked as unknown as { ttl: { expires_at: string } }).ttl
      expect(Date.parse(expires_at) - Date.parse(thread.updated_at)).toBe(30 * 60_000)
      await stage.client.threads.update(thread.thread_id, {
        ttl: { ttl: 5, strategy: 'keep_latest' },
      } as never)
      const changed = await stage.client.threads.get(thread.thread_id, { include: ['ttl'] })
      expect(changed).toMatchObject({ ttl: { strategy: 'keep_latest', ttl_minutes: 5 } })
      const none = await stage.client.threads.get(await stage.thread(), { include: ['ttl'] })
      expect(none).toMatchObject({ ttl: null })
    })

    test('a change that asks for no answer gets none', async () => {
      const threadId = await stage.thread()
      const answer = await stage.http(
        'PATCH',
        `/threads/${threadId}`,
        { metadata: { a: 1 } },
        { prefer: 'return=minimal' },
      )
      expect([answer.status, answer.text]).toEqual([204, ''])
      expect((await stage.client.threads.get(threadId)).metadata).toMatchObject({ a: 1 })
    })
  })

  describe('prune', () => {
    test('keep_latest leaves the newest state alone, and the thread goes on from it', async () => {
      const threadId = await talked('One.', 'Two.')
      const before = await stage.client.threads.getState(threadId)
      const stored = await bytesOf(threadId)
      expect(await stage.client.threads.prune([threadId, newId()], { strategy: 'keep_latest' })).toEqual({
        pruned_count: 1,
      })
      const [only, ...older] = await stage.client.threads.getHistory(threadId)
      expect(older).toEqual([])
      expect(only?.values).toEqual(before.values)
      expect(only?.parent_checkpoint).toBeNull()
      expect(await bytesOf(threadId)).toBeLessThan(stored)
      stage.play({ content: 'Three.' })
      const values = (await stage.client.runs.wait(threadId, 'react', { input: says('Go on.') })) as {
        messages: unknown[]
      }
      expect(values.messages).toHaveLength(6)
    })

    test('a pruned thread that waits for an approval goes on with it', async () => {
      const subject = newId()
      stage.play({ toolCalls: [mailTo(subject)] }, { content: 'Sent.' })
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'react', { input: says('Write.') })
      await stage.client.threads.prune([threadId], { strategy: 'keep_latest' })
      const [hold] = await stage.holds(threadId, 'pending')
      await stage.decide(hold?.approval_id ?? '', { type: 'approve' })
      await untilThread(stage.client, threadId, 'idle')
      expect(await mailsAbout(subject, stage.mails)).toBe(1)
    })

    test('delete takes the thread away, but not one whose run has not ended', async () => {
      const threadId = await talked('One.')
      const busy = await talked('One.')
      const run = await stage.client.runs.create(busy, 'react', { input: says('Later.'), afterSeconds: 600 })
      expect(await stage.client.threads.prune([threadId, busy])).toEqual({ pruned_count: 1 })
      await expect(stage.client.threads.get(threadId)).rejects.toThrow(/404/)
      expect((await stage.client.threads.get(busy)).status).toBe('busy')
      await stage.client.runs.cancel(busy, run.run_id, true)
    })

    const bytesOf = async (threadId: string) => {
      const { checkpoints, channels, writes } = (
        await stage.http('GET', `/threads/${threadId}/storage`)
      ).json<{ checkpoints: number; channels: Record<string, number>; writes: number }>()
      expect(Object.keys(channels)).toContain('messages')
      return checkpoints + writes + Object.values(channels).reduce((sum, bytes) => sum + bytes, 0)
    }
  })

  describe('copy', () => {
    test('a copy has the same states under its own id, and what happens to one does not reach the other', async () => {
      const threadId = await talked('One.', 'Two.')
      const copy = await stage.client.threads.copy(threadId)
      expect(copy.thread_id).not.toBe(threadId)
      const own = (text: string) => text.replaceAll(threadId, copy.thread_id)
      const original = await stage.client.threads.getHistory(threadId, { limit: 100 })
      expect(await stage.client.threads.getHistory(copy.thread_id, { limit: 100 })).toEqual(
        JSON.parse(own(JSON.stringify(original))),
      )
      expect(await stage.client.runs.list(copy.thread_id)).toEqual([])
      stage.play({ content: 'Three.' })
      await stage.client.runs.wait(copy.thread_id, 'react', { input: says('Go on.') })
      expect(await stage.client.threads.getHistory(threadId, { limit: 100 })).toEqual(original)
      await stage.client.threads.delete(threadId)
      const left = (await stage.client.threads.getState(copy.thread_id)).values as { messages: unknown[] }
      expect(left.messages).toHaveLength(6)
      expect((await stage.http('POST', `/threads/${newId()}/copy`)).status).toBe(404)
    })

    test('an approval stays with the original; the copy asks for one of its own, and each mail is sent once', async () => {
      const subject = newId()
      stage.play({ toolCalls: [mailTo(subject)] }, { content: 'Sent.' }, { content: 'Sent, too.' })
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'react', { input: says('Write.') })
      const copy = await stage.client.threads.copy(threadId)
      expect([copy.status, copy.interrupts]).toEqual(['interrupted', {}])
      expect(await stage.holds(copy.thread_id)).toEqual([])

      const [first] = await stage.holds(threadId, 'pending')
      await stage.decide(first?.approval_id ?? '', { type: 'approve' })
      await untilThread(stage.client, threadId, 'idle')
      expect(await mailsAbout(subject, stage.mails)).toBe(1)

      await stage.client.runs.wait(copy.thread_id, 'react', { input: null })
      const [second] = await stage.holds(copy.thread_id, 'pending')
      expect(second?.approval_id).not.toBe(first?.approval_id)
      expect(await mailsAbout(subject, stage.mails)).toBe(1)
      await stage.decide(second?.approval_id ?? '', { type: 'approve' })
      await untilThread(stage.client, copy.thread_id, 'idle')
      expect(await mailsAbout(subject, stage.mails)).toBe(2)
    })
  })

  describe('the stream of a thread', () => {
    test('its reader sees every run to come, its beginning and its end, and can come back', async () => {
      const threadId = await talked('Before.')
      const gone = new AbortController()
      const seen: { id?: string; event: string; data: unknown }[] = []
      const reading = (async () => {
        const options = { signal: gone.signal, streamMode: ['run_modes', 'state_update'] as never }
        for await (const part of stage.client.threads.joinStream(threadId, options)) seen.push(part)
      })().catch(() => {})
      await vi.waitFor(async () => {
        stage.play({ content: 'After.' })
        await stage.client.runs.wait(threadId, 'react', { input: says('Go on.') })
        expect(ends(seen)).toBeGreaterThan(0)
      }, WAIT)
      await vi.waitFor(() => expect(seen.map(({ event }) => event)).toContain('state_update'), WAIT)
      gone.abort()
      await reading
      expect(seen[0]).toMatchObject({ event: 'metadata', data: { attempt: 1 } })
      expect(JSON.stringify(seen)).toContain('After.')

      const again = new AbortController()
      const replayed: { id?: string; event: string; data: unknown }[] = []
      const all = { signal: again.signal, lastEventId: '-', streamMode: 'lifecycle' as never }
      for await (const part of stage.client.threads.joinStream(threadId, all)) {
        replayed.push(part)
        if (ends(replayed) === 2) break
      }
      again.abort()
      expect(replayed.map(({ event }) => event)).toEqual(['metadata', 'metadata', 'metadata', 'metadata'])
      const ids = replayed.map(({ id }) => Number(id))
      expect(ids).toEqual(ids.toSorted((a, b) => a - b))

      const rest = new AbortController()
      for await (const part of stage.client.threads.joinStream(threadId, {
        signal: rest.signal,
        lastEventId: replayed[1]?.id ?? '',
        streamMode: 'lifecycle' as never,
      })) {
        expect(part).toEqual(replayed[2])
        break
      }
      rest.abort()
      const bad = await stage.http('GET', `/threads/${threadId}/stream`, undefined, { 'last-event-id': 'x' })
      expect(bad.status).toBe(422)
    })

    const ends = (list: { data: unknown }[]) =>
      list.filter(({ data }) => (data as { status?: string } | null)?.status === 'run_done').length
  })
})
