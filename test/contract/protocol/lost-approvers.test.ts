import { Client } from '@langchain/langgraph-sdk'
import { expect, test } from 'vitest'
import type { Hold } from '../../../runtime/hold.ts'
import type { People } from '../../../runtime/people.ts'
import { newId } from '../../../runtime/ids.ts'
import { onPostgres } from '../../support/each-database.ts'
import { type Keyed, useKeyedStage, withPeople } from '../../support/keys.ts'
import { mailsAbout, mailTo, says, untilThread } from '../../support/stage.ts'

const PEOPLE = {
  otto: { roles: ['operator', 'admin'] },
  ben: { roles: ['approver'] },
  disabled: { roles: ['approver'] },
  lowered: { roles: ['approver'] },
  keyless: { roles: ['approver'] },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

onPostgres((database) => {
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE)
  const otto = () =>
    new Client({ apiUrl: stage.url, apiKey: keyOf('otto'), callerOptions: { maxRetries: 0 } })
  const approve = (name: Name, hold: Hold | undefined) =>
    as(name, 'POST', `/approvals/${hold?.approval_id}/decisions`, { type: 'approve' })
  const waiting = async (threadId: string) => {
    const answer = await as('ben', 'GET', `/approvals?thread_id=${threadId}&status=pending`)
    return answer.json<Hold[]>().toSorted((a, b) => (a.call_id < b.call_id ? -1 : 1))
  }

  test.each([
    ['is disabled', 'disabled', (people: People) => people.disable('disabled', 'the tests')],
    ['has lost the role', 'lowered', (people: People) => people.setRoles('lowered', ['viewer'], 'the tests')],
    [
      'has lost the key',
      'keyless',
      (people: People) => people.revoke(keyOf('keyless').slice(3, 19), 'the tests'),
    ],
  ] as const)(
    'what somebody released who %s before it runs is asked for again, and the record says so',
    async (_, name, shutOut) => {
      const [first, second] = [newId(), newId()]
      stage.play({ toolCalls: [mailTo(first), mailTo(second)] })
      const { thread_id: threadId } = await otto().threads.create()
      await otto().runs.wait(threadId, 'react', { input: says('Mail twice.') })
      const [one, two] = await waiting(threadId)
      expect((await approve(name, one)).json()).toMatchObject({ status: 'approved' })
      expect(await withPeople(database.place, shutOut)).toBe(true)
      // The last word of the message: its run begins with what both of them released.
      expect((await approve('ben', two)).json()).toMatchObject({ status: 'approved' })
      await untilThread(otto(), threadId, 'interrupted')
      expect(await sent(first)).toBe(0)
      expect(await sent(second)).toBe(1)
      const [again, ...others] = await waiting(threadId)
      expect([again, others]).toMatchObject([
        {
          replaces: one?.approval_id,
          args_hash: one?.args_hash,
          reason: expect.stringContaining(`It was approved, but what ${name} said counts no longer.`),
        },
        [],
      ])
      const record = await as('otto', 'GET', `/audit?thread_id=${threadId}&order=asc`)
      const entries = record.json<{ kind: string; approval_id: string | null; data: object }[]>()
      expect(entries.filter(({ approval_id: id }) => id === one?.approval_id)).toEqual(
        expect.arrayContaining([
          expect.objectContaining({
            kind: 'hold.vote_withdrawn',
            data: expect.objectContaining({ of: [name] }),
          }),
          expect.objectContaining({
            kind: 'grant.revoked',
            data: expect.objectContaining({ cause: 'asked_again' }),
          }),
        ]),
      )
      stage.model.play([{ content: 'Mailed.' }])
      expect((await approve('ben', again)).json()).toMatchObject({ status: 'approved' })
      await untilThread(otto(), threadId, 'idle')
      expect([await sent(first), await sent(second)]).toEqual([1, 1])
    },
  )

  const sent = (subject: string) => mailsAbout(subject, stage.mails)
})
