import { describe, expect, test } from 'vitest'
import { argsHash, grantHash } from '../../../runtime/call.ts'
import { NOTHING_SHOWN } from '../../../runtime/preview.ts'
import type { Decision, Voice } from '../../../runtime/hold.ts'
import { type Needs, ONE_PERSON } from '../../../runtime/needs.ts'
import { newId } from '../../../runtime/ids.ts'
import { hasRole, LOCAL, type Person, type Role } from '../../../runtime/people.ts'
import { createEffects } from '../../../storage/effects.ts'
import { createPeople } from '../../../storage/people.ts'
import { onBothDatabases, onEmbedded } from '../../support/each-database.ts'
import { pick, type Random, randomFrom } from '../../support/malformed.ts'
import {
  claimOf,
  createRun,
  createThread,
  createWorker,
  endedWell,
  pausedState,
  type StoragePorts,
  useStorage,
} from '../../support/storage.ts'

const ROUNDS = 10
const DECISIONS = 100
const SEQUENCES = Number(process.env['HOLDPOINT_TEST_SEQUENCES'] ?? 400)
const SEED = Number(process.env['HOLDPOINT_TEST_SEED'] ?? 20_261_121)
const AT_ONCE = 50

const person = (identity: string, ...roles: Role[]): Person => ({
  ...LOCAL,
  alone: false,
  identity,
  roles,
})
const otto = person('otto', 'operator', 'approver')
const args = { n: 1 }
const NEW_KEY = { kind: 'person', tenant: undefined, expiresInSeconds: undefined } as const
const other = { args: { n: 2 }, hash: argsHash({ n: 2 }) }

/** Threads that each wait for one call that otto's run wants to make. */
async function held(ports: StoragePorts, needs: Needs[]) {
  const threads = await Promise.all(needs.map(() => createThread(ports)))
  for (const threadId of threads) await createRun(ports, threadId, { requested_by: ['otto'] })
  const worker = await createWorker(ports)
  const claimed = new Map<string, Awaited<ReturnType<typeof claimOf>>>()
  while (claimed.size < threads.length)
    for (const run of await ports.queue.claim(worker, 100)) claimed.set(run.thread_id, run)
  const ids: string[] = []
  for (const [index, threadId] of threads.entries()) {
    const run = claimed.get(threadId)
    const paused = pausedState(threadId, [args])
    const state = {
      ...paused,
      holds: paused.holds.map((hold) => ({ ...hold, needs: needs[index] ?? hold.needs })),
    }
    expect(run && (await ports.queue.settle(run, endedWell(state)))).toBe(true)
    ids.push(state.holds[0]?.approval_id ?? '')
  }
  return threads.map((threadId, index) => ({ threadId, id: ids[index] ?? '' }))
}

onBothDatabases((database) => {
  const storage = useStorage(database)

  test('of a hundred decisions at once, ten times, each hold has one end, one run, and a quorum behind it', async () => {
    const { mine, other: second } = storage
    const needs: Needs = { ...ONE_PERSON, approvers: 3, seniors: 1 }
    const types = [
      'approve',
      'approve',
      'approve',
      'approve',
      'approve',
      'approve',
      'reject',
      'respond',
    ] as const
    for (const [round, { id, threadId }] of (
      await held(
        mine,
        Array.from({ length: ROUNDS }, () => needs),
      )
    ).entries()) {
      const random = randomFrom(SEED + round)
      const answers = await Promise.allSettled(
        Array.from({ length: DECISIONS }, (_, index) => {
          // Ten people with ten screens each.
          const who = person(`p${index % 10}`, index % 10 < 2 ? 'senior' : 'approver')
          const type = round % 2 === 0 ? 'approve' : pick(random, types)
          return (index % 2 === 0 ? mine : second).holds.decide(id, { type, message: 'x' }, who, undefined)
        }),
      )
      const done = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
      const ends = done.filter(({ status }) => status !== 'pending')
      expect(ends).toHaveLength(1)
      for (const answer of answers)
        if (answer.status === 'rejected')
          expect(['hold_decided', 'already_voted']).toContain((answer.reason as { code: string }).code)
      const hold = await mine.holds.get(id)
      expect(hold).toMatchObject({ status: ends[0]?.status, resumed_run_id: ends[0]?.resumed_run_id })
      expect(new Set(hold?.votes.map(({ by }) => by)).size).toBe(hold?.votes.length)
      // One vote for each answer that left it waiting, and the last word.
      expect(hold?.votes).toHaveLength(done.length - (hold?.status === 'approved' ? 0 : 1))
      if (hold?.status === 'approved') {
        expect(hold.votes.length).toBeGreaterThanOrEqual(3)
        expect(hold.votes.some(({ senior }) => senior)).toBe(true)
      }
      expect((await mine.runs.list(threadId, { status: 'pending', limit: 10, offset: 0 })).total).toBe(1)
    }
  }, 120_000)

  describe('the vote of somebody whom the server knows', () => {
    let names = 0
    /** An approver or a senior with a key of their own. */
    async function known(role: Role): Promise<Person> {
      const identity = `known-${database.embedded}-${(names += 1)}`
      const keyId = newId()
      await createPeople(storage.mine.db).createKey(
        {
          ...NEW_KEY,
          identity,
          roles: [role],
          key_id: keyId,
          secret_sha256: argsHash({ identity }),
        },
        'the tests',
      )
      return { ...person(identity, role), keyId }
    }

    const people = () => createPeople(storage.mine.db)
    const WAYS = [
      ['is disabled', ({ identity }: Person) => people().disable(identity, 'the tests')],
      ['has lost the role', ({ identity }: Person) => people().setRoles(identity, ['viewer'], 'the tests')],
      ['has lost the key', ({ keyId = '' }: Person) => people().revoke(keyId, 'the tests')],
    ] as const

    test.each(WAYS)('counts no longer where its author %s: others have to say it', async (_, shutOut) => {
      const { holds } = storage.mine
      const [asked] = await held(storage.mine, [{ ...ONE_PERSON, approvers: 2 }])
      const { id = '', threadId = '' } = asked ?? {}
      const [ada, ben, cleo] = [await known('approver'), await known('approver'), await known('approver')]
      await holds.decide(id, { type: 'approve' }, ada, undefined)
      await shutOut(ada)
      expect(await holds.decide(id, { type: 'approve' }, ben, undefined)).toMatchObject({
        status: 'pending',
        votes: [{ by: ben.identity }],
      })
      expect(await holds.decide(id, { type: 'approve' }, cleo, undefined)).toMatchObject({
        status: 'approved',
        votes: [{ by: ben.identity }, { by: cleo.identity }],
      })
      const { rows } = await storage.mine.db.query<{ data: object }>(
        `select entry -> 'data' as data from audit_entries
         where chain = 'thread:' || $1 and entry ->> 'kind' = 'hold.vote_withdrawn'`,
        [threadId],
      )
      expect(rows).toMatchObject([{ data: { votes: 0, of: [ada.identity] } }])
    })

    test.each(WAYS)('is not used where its author %s before the call begins', async (_, shutOut) => {
      const { mine } = storage
      const [asked] = await held(mine, [ONE_PERSON])
      const { id = '', threadId = '' } = asked ?? {}
      const [ada, ben] = [await known('approver'), await known('approver')]
      await mine.holds.decide(id, { type: 'approve' }, ada, undefined)
      const hold = await mine.holds.get(id)
      const call = { threadId, messageId: hold?.message_id ?? '', callId: hold?.call_id ?? '' }
      const released = await mine.holds.released(call)
      expect(released).toMatchObject({ votes: [{ by: ada.identity }], lost: [] })
      const run = await claimOf(mine, await createWorker(mine), threadId)
      const intend = (voices: Voice[]) => {
        const hash = grantHash(call, { name: hold?.tool ?? '', version: '1' }, hold?.args ?? null)
        return createEffects(mine.db)
          .ledger(run)
          .intend({
            call,
            argsHash: hold?.args_hash ?? '',
            tool: hold?.tool ?? '',
            toolVersion: '1',
            effect: 'once',
            key: newId(),
            grant: { hash, approvalId: id, voices },
          })
      }
      // Counted, and shut out before what was counted is used.
      await shutOut(ada)
      expect(await intend(released?.votes ?? [])).toEqual({ state: 'recount' })
      expect(await intend([{ by: ben.identity }])).toEqual({ state: 'recount' })
      expect(await mine.holds.released(call)).toMatchObject({ votes: [], lost: [ada.identity] })
      const { rows } = await mine.db.query(
        'select 1 from grants where thread_id = $1 and consumed_at is null',
        [threadId],
      )
      expect(rows).toHaveLength(1)
    })

    test('counts with the key that they have, also where an older one is revoked', async () => {
      const { holds } = storage.mine
      const [asked] = await held(storage.mine, [{ ...ONE_PERSON, approvers: 2 }])
      const { id = '' } = asked ?? {}
      const [ada, ben] = [await known('approver'), await known('approver')]
      const newer = newId()
      await people().createKey(
        { ...NEW_KEY, roles: [], identity: ada.identity, key_id: newer, secret_sha256: argsHash({ newer }) },
        'the tests',
      )
      await holds.decide(id, { type: 'approve' }, { ...ada, keyId: newer }, undefined)
      await people().revoke(ada.keyId ?? '', 'the tests')
      expect(await holds.decide(id, { type: 'approve' }, ben, undefined)).toMatchObject({
        status: 'approved',
        votes: [{ by: ada.identity, key_id: newer }, { by: ben.identity }],
      })
    })

    test('counts as no senior’s where its author is none any more', async () => {
      const { holds, db } = storage.mine
      const [asked] = await held(storage.mine, [{ ...ONE_PERSON, approvers: 2, seniors: 1 }])
      const { id = '' } = asked ?? {}
      const [sam, ben, sara] = [await known('senior'), await known('approver'), await known('senior')]
      await holds.decide(id, { type: 'approve' }, sam, undefined)
      await createPeople(db).setRoles(sam.identity, ['approver'], 'the tests')
      expect(await holds.decide(id, { type: 'approve' }, ben, undefined)).toMatchObject({
        status: 'pending',
        votes: [{ by: sam.identity, senior: false }, { by: ben.identity }],
      })
      expect(await holds.decide(id, { type: 'approve' }, sara, undefined)).toMatchObject({
        status: 'approved',
      })
    })
  })

  describe('a hold that nobody has decided in time', () => {
    const escalating: Needs = {
      ...ONE_PERSON,
      who: ['ada'],
      expires_in: 60,
      on_expiry: { escalate: { to: ['senior'], expires_in: 3_600 } },
    }

    test('is handed on once, with its votes, and expires then', async () => {
      const { mine } = storage
      const [held1] = await held(mine, [{ ...escalating, approvers: 2 }])
      const { id = '', threadId = '' } = held1 ?? {}
      await mine.holds.decide(id, { type: 'approve' }, person('ada', 'approver'), undefined)
      const expires = Date.parse((await mine.holds.get(id))?.expires_at ?? '')
      expect(await mine.holds.expire(new Date(expires - 1))).toBe(0)
      const late = new Date(expires + 5_000)
      expect(await mine.holds.expire(late)).toBe(1)
      expect(await mine.holds.expire(late)).toBe(0)
      expect(await mine.holds.get(id)).toMatchObject({
        status: 'pending',
        escalated_at: late.toISOString(),
        expires_at: new Date(late.getTime() + 3_600_000).toISOString(),
        needs: { who: ['senior'], approvers: 2 },
        votes: [{ by: 'ada' }],
      })
      await expect(
        mine.holds.decide(id, { type: 'approve' }, person('ben', 'approver'), undefined),
      ).rejects.toMatchObject({ code: 'hold_not_yours' })
      expect(await mine.holds.expire(new Date(late.getTime() + 3_600_001))).toBe(1)
      expect(await mine.holds.get(id)).toMatchObject({ status: 'expired' })
      expect((await mine.runs.list(threadId, { status: 'pending', limit: 10, offset: 0 })).total).toBe(1)
      const { rows } = await mine.db.query<{ kind: string }>(
        `select entry ->> 'kind' as kind from audit_entries where chain = 'thread:' || $1 order by seq`,
        [threadId],
      )
      expect(rows.map(({ kind }) => kind)).toEqual(
        ['chain.begun', 'hold.requested', 'hold.voted', 'hold.escalated', 'hold.expired'].slice(1),
      )
    })

    test('leaves none waiting where hundreds are over at once', async () => {
      const { mine } = storage
      const many = await held(
        mine,
        Array.from({ length: 250 }, () => ({ ...ONE_PERSON, expires_in: 60 })),
      )
      expect(await mine.holds.expire(new Date(Date.now() + 61_000))).toBe(250)
      const { rows } = await mine.db.query(
        `select count(*)::integer as n from holds where approval_id = any($1) and status = 'expired'`,
        [many.map(({ id }) => id)],
      )
      expect(rows).toEqual([{ n: 250 }])
    }, 60_000)

    test('is those others’ at once, also before a server has handed it on', async () => {
      const { mine } = storage
      const [one] = await held(mine, [escalating])
      const id = one?.id ?? ''
      await mine.db.query(
        `update holds set expires_at = clock_timestamp() - interval '1 second' where approval_id = $1`,
        [id],
      )
      const ada = person('ada', 'approver')
      await expect(mine.holds.decide(id, { type: 'approve' }, ada, undefined)).rejects.toMatchObject({
        code: 'hold_not_yours',
      })
      expect(await mine.holds.get(id)).toMatchObject({ escalated_at: null })
      expect(
        await mine.holds.decide(id, { type: 'approve' }, person('sam', 'senior'), undefined),
      ).toMatchObject({
        status: 'approved',
        escalated_at: expect.any(String),
      })
    })
  })
})

interface Model {
  status: string
  votes: string[]
  proposal: string | null
  escalated: boolean
  who: string[]
}

const CAST: Person[] = [
  otto,
  person('ada', 'approver'),
  person('ben', 'approver', 'operator'),
  person('sam', 'senior'),
  person('sue', 'senior', 'approver'),
  person('root', 'admin'),
  person('vera', 'viewer'),
  { ...person('bot', 'approver'), kind: 'agent' },
]
const STEPS = [
  'approve',
  'approve',
  'approve',
  'approve',
  'stale',
  'edit',
  'edit',
  'withdraw',
  'reject',
  'respond',
  'early',
  'late',
  'cancel',
] as const
type Step = (typeof STEPS)[number]

const ENDS: Needs['on_expiry'][] = ['reject', 'wait', { escalate: { to: ['senior'], expires_in: 100 } }]

/** Each expires after the ones before it: what is swept at its time are they, who are over. */
function needsFrom(random: Random, place: number): Needs {
  const approvers = pick(random, [1, 2, 2, 3])
  return {
    approvers,
    seniors: pick(random, [0, 0, 1, Math.min(2, approvers)]),
    who: pick(random, [['approver'], ['approver'], ['senior'], ['ada', 'sam', 'sue', 'otto']]),
    expires_in: 1_000 * (place + 1),
    on_expiry: pick(random, ENDS),
  }
}

/** What has to become of it: the code of a refusal, or nothing. Changes the model. */
function modelled(model: Model, needs: Needs, step: Step, who: Person): string | undefined {
  const isOpen = model.status === 'pending'
  if (step === 'early') return undefined
  if (step === 'cancel') {
    // The run that was to carry it out is dropped before it began: what was said is asked for again, and then cancelled.
    if (!isOpen && model.status !== 'cancelled') Object.assign(model, { votes: [], proposal: null })
    model.status = 'cancelled'
    return undefined
  }
  if (step === 'late') {
    if (!isOpen || needs.on_expiry === 'wait') return undefined
    if (typeof needs.on_expiry === 'object' && !model.escalated) {
      model.escalated = true
      model.who = needs.on_expiry.escalate.to
    } else model.status = 'expired'
    return undefined
  }
  if (!isOpen) return 'hold_decided'
  const { identity: name } = who
  if (step === 'withdraw') {
    if (!model.votes.includes(name)) return 'vote_not_found'
    model.votes = model.votes.filter((one) => one !== name)
    return undefined
  }
  if (who.kind === 'agent') return 'hold_not_yours'
  if (name === 'otto') return 'self_approval'
  const named = model.who.includes(name)
  const asApprover =
    model.who.includes('approver') && who.roles.some((role) => ['approver', 'senior', 'admin'].includes(role))
  const asSenior = model.who.includes('senior') && who.roles.includes('senior')
  if (!named && !asApprover && !asSenior) return 'hold_not_yours'
  if (step === 'reject' || step === 'respond') {
    model.status = step === 'reject' ? 'rejected' : 'responded'
    return undefined
  }
  if (step === 'edit') {
    model.proposal = name
    model.votes = []
    return undefined
  }
  if (model.proposal === name) return 'self_approval'
  if (model.votes.includes(name)) return 'already_voted'
  if (step === 'stale') return 'hold_changed'
  model.votes = [...model.votes, name]
  const seniors = model.votes.filter((one) => one === 'sam' || one === 'sue')
  if (model.votes.length >= needs.approvers && seniors.length >= needs.seniors)
    model.status = model.proposal === null ? 'approved' : 'edited'
  return undefined
}

onEmbedded((database) => {
  const storage = useStorage(database)

  async function carriedOut(
    place: { threadId: string; id: string },
    needs: Needs,
    step: Step,
    who: Person,
    shown: string,
  ): Promise<unknown> {
    const { holds } = storage.mine
    const { id, threadId } = place
    switch (step) {
      case 'withdraw':
        return await holds.withdraw(id, who)
      case 'early':
      case 'late': {
        const hold = await holds.get(id)
        return await holds.expire(new Date(Date.parse(hold?.expires_at ?? '') + (step === 'late' ? 1 : -1)))
      }
      case 'cancel':
        return await createRun(storage.mine, threadId, {
          multitask_strategy: 'interrupt',
          after_seconds: 1_000,
        })
      case 'approve':
      case 'stale':
      case 'edit':
      case 'reject':
      case 'respond': {
        const type = step === 'stale' ? 'approve' : step
        const seen = step === 'stale' ? argsHash({ stale: newId() }) : shown
        const decision: Decision = {
          type,
          ...(type === 'approve' ? { args_hash: seen } : {}),
          ...(step === 'respond' ? { message: 'x' } : {}),
        }
        return await holds.decide(
          id,
          decision,
          who,
          step === 'edit' ? { ...other, needs, shown: NOTHING_SHOWN } : undefined,
        )
      }
    }
  }

  test(
    `whatever ${SEQUENCES} sequences of words, withdrawals, edits, expiries and cancellations do, a small model does`,
    async () => {
      const random = randomFrom(SEED)
      const ends = new Map<string, number>()
      for (let done = 0; done < SEQUENCES; done += AT_ONCE) {
        const needs = Array.from({ length: AT_ONCE }, (_, place) => needsFrom(random, place))
        for (const [index, place] of (await held(storage.mine, needs)).entries()) {
          const need = needs[index] ?? ONE_PERSON
          const model: Model = {
            status: 'pending',
            votes: [],
            proposal: null,
            escalated: false,
            who: need.who,
          }
          const told: string[] = []
          for (let steps = pick(random, [2, 3, 5, 7]); steps > 0; steps--) {
            const step = pick(random, STEPS)
            const who = pick(random, CAST)
            told.push(`${step} ${who.identity}`)
            const before = { ...model }
            const shown = model.proposal === null ? argsHash(args) : other.hash
            const code = modelled(model, need, step, who)
            const said = await carriedOut(place, need, step, who, shown).then(
              () => undefined,
              (error: unknown) => (error as { code?: string }).code ?? String(error),
            )
            const story = `seed ${SEED}, sequence ${done + index}, ${JSON.stringify(need)}: ${told.join(', ')}`
            expect(said, story).toBe(code)
            if (code !== undefined) expect(model, story).toEqual(before)
          }
          const hold = await storage.mine.holds.get(place.id)
          const story = `seed ${SEED}, sequence ${done + index}, ${JSON.stringify(need)}: ${told.join(', ')}`
          expect(
            {
              status: hold?.status,
              votes: hold?.votes.map(({ by }) => by),
              proposal: hold?.proposal?.by ?? null,
              escalated: hold?.escalated_at !== null,
              who: hold?.needs.who,
            },
            story,
          ).toEqual(model)
          const goesOn = !['pending', 'cancelled'].includes(model.status)
          expect(hold?.resumed_run_id !== null, story).toBe(goesOn)
          ends.set(model.status, (ends.get(model.status) ?? 0) + 1)
          const released = await storage.mine.holds.released({
            threadId: place.threadId,
            messageId: hold?.message_id ?? '',
            callId: 'call-0',
          })
          const hash =
            model.status === 'approved' ? argsHash(args) : model.status === 'edited' ? other.hash : undefined
          expect(released?.hash, story).toBe(hash)
          if (released !== undefined) expect(released.votes.map(({ by }) => by)).toEqual(model.votes)
        }
        await storage.mine.db.query('truncate threads, runs, holds, events cascade')
      }
      // Each end was there.
      for (const status of ['pending', 'approved', 'edited', 'rejected', 'responded', 'expired', 'cancelled'])
        expect(ends.get(status) ?? 0, status).toBeGreaterThan(SEQUENCES / 500)
    },
    Math.max(300_000, SEQUENCES * 300),
  )

  test('the model’s idea of roles is the code’s', () => {
    for (const who of CAST) {
      expect(hasRole(who, 'approver'), who.identity).toBe(
        ['approver', 'senior', 'admin'].some((role) => who.roles.includes(role as Role)),
      )
      expect(hasRole(who, 'senior'), who.identity).toBe(who.roles.includes('senior'))
    }
  })
})
