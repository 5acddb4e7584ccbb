import { z } from 'zod'
import { type AuditKind, type NewEntry, type Oversight, sha256 } from '../runtime/audit.ts'
import type { HoldKind, HoldStatus } from '../runtime/hold.ts'
import type { Needs } from '../runtime/needs.ts'
import type { Json } from '../runtime/json.ts'
import type { Transaction } from './database.ts'

/** What the record says of a hold: to be returned by every statement that changes its status. */
export const HELD = `thread_id, approval_id, run_id, assistant_id, kind, message_id, call_id, tool, args_hash, risk,
  rule, policy_version, needs, status, released_hash`

export interface Held {
  thread_id: string
  approval_id: string
  run_id: string
  assistant_id: string
  kind: HoldKind
  message_id: string
  call_id: string
  tool: string
  args_hash: string
  risk: string
  rule: string | null
  policy_version: string
  needs: Needs
  status: HoldStatus
  released_hash?: string | null
}

/** What took a pending hold away, or opened a decided one again. */
export type Cause =
  | 'state_update'
  | 'thread_deleted'
  | 'new_input'
  | 'command'
  | 'run_ended'
  | 'run_dropped'
  | 'run_rolled_back'
  /** Of a grant: what its call would do has changed, the tool has, or somebody whose word it needs is shut out. */
  | 'asked_again'

const MODEL = `
  select entry -> 'oversight' ->> 'model_version' as model from audit_entries
  where chain = 'thread:' || $1::text and entry ->> 'kind' = 'hold.requested' and entry ->> 'approval_id' = $2::text
  order by seq desc limit 1`

/** Whose doing it was. */
export interface Who {
  actor: string
  actor_type: NewEntry['actor_type']
}

export const SYSTEM: Who = { actor: 'holdpoint', actor_type: 'system' }

export function person(identity: string): Who {
  return { actor: identity, actor_type: 'person' }
}

/** Nobody asked: it is our doing. */
export function personOrUs(identity: string | undefined): Who {
  return identity === undefined ? SYSTEM : person(identity)
}

export function agent(assistantId: string): Who {
  return { actor: assistantId, actor_type: 'agent' }
}

/** Holds that a run's end has asked for. `models`: by message, which one wrote it. */
export function recordRequested(client: Transaction, held: Held[], models: Map<string, string>): void {
  for (const hold of held)
    client.recorded.push(
      entryOf('hold.requested', hold, agent(hold.assistant_id), {
        model: models.get(hold.message_id) ?? null,
        decision: 'held',
      }),
    )
}

export function recordCancelled(client: Transaction, held: Held[], who: Who, cause: Cause): void {
  for (const hold of held)
    client.recorded.push(entryOf('hold.cancelled', hold, who, { model: null, decision: 'cancelled', cause }))
}

export function recordReopened(client: Transaction, held: Held[], who: Who, cause: Cause): void {
  for (const hold of held)
    client.recorded.push(entryOf('hold.reopened', hold, who, { model: null, decision: 'held', cause }))
}

/** A person's word. Its text, where it has one, enters as a hash. */
export async function recordDecided(
  client: Transaction,
  hold: Held,
  by: string,
  decision: {
    type: string
    message?: string | undefined
    editedHash: string | undefined
    /** Of whom it has the words. */
    released_by: string[]
  },
): Promise<void> {
  const model = await modelOf(client, hold)
  client.recorded.push(
    entryOf('hold.decided', hold, person(by), {
      model,
      decision: decision.type,
      ...(decision.editedHash === undefined ? {} : { edited: decision.editedHash }),
      ...(decision.message === undefined ? {} : { message: decision.message }),
      released_by: decision.released_by,
    }),
  )
}

/** What leaves it waiting: somebody's word that is not enough yet, or is taken back, a comment, a link, others who are asked. */
export function recordWaiting(
  client: Transaction,
  kind: Extract<
    AuditKind,
    `hold.${'voted' | 'vote_withdrawn' | 'edited' | 'commented' | 'link_issued' | 'escalated'}`
  >,
  hold: Held,
  who: Who,
  told: Record<string, Json>,
): void {
  const { oversight: _, ...entry } = entryOf(kind, hold, who, { model: null, decision: 'held' })
  client.recorded.push({ ...entry, data: { ...entry.data, ...told } })
}

export async function recordExpired(client: Transaction, hold: Held): Promise<void> {
  client.recorded.push(
    entryOf('hold.expired', hold, SYSTEM, { model: await modelOf(client, hold), decision: 'expired' }),
  )
}

interface Said {
  model: string | null
  decision: string
  edited?: string
  message?: string
  released_by?: string[]
  cause?: Cause
}

function entryOf(
  kind: Extract<AuditKind, `hold.${string}`>,
  hold: Held,
  who: Who,
  { model, decision, edited, message, released_by: releasedBy = [], cause }: Said,
): NewEntry {
  const human = who.actor_type === 'person' && kind === 'hold.decided'
  const released = hold.released_hash ?? null
  const data: Record<string, Json> = {
    hold_kind: hold.kind,
    status: hold.status,
    rule: hold.rule,
    policy_version: hold.policy_version,
    needs: hold.needs,
    args_sha256: hold.args_hash,
    released_sha256: released,
    ...(edited === undefined ? {} : { edited_sha256: edited }),
    ...(message === undefined ? {} : { message_sha256: sha256(message) }),
    ...(releasedBy.length === 0 ? {} : { released_by: releasedBy }),
    ...(cause === undefined ? {} : { cause }),
  }
  const oversight: Oversight = {
    decision_id: hold.approval_id,
    system_id: hold.assistant_id,
    model_version: model,
    input_sha256: hold.args_hash,
    output_sha256: released,
    decision,
    human_review: human,
    reviewed_by: human ? who.actor : null,
    // Overwritten by the time at which it is sealed.
    timestamp: '',
    risk_tier: hold.risk,
  }
  return {
    kind,
    ...who,
    thread_id: hold.thread_id,
    run_id: hold.run_id,
    assistant_id: hold.assistant_id,
    approval_id: hold.approval_id,
    message_id: hold.message_id,
    call_id: hold.call_id,
    tool: hold.tool,
    data,
    oversight,
  }
}

const Values = z.object({
  messages: z.array(
    z.looseObject({
      id: z.string().optional(),
      response_metadata: z
        .looseObject({ model_name: z.string().optional(), model: z.string().optional() })
        .optional(),
    }),
  ),
})

/** By message, the model that wrote it as its provider names it. `values`: the thread's, as JSON text. */
export function modelsIn(values: string): Map<string, string> {
  const parsed = Values.safeParse(JSON.parse(values))
  if (!parsed.success) return new Map()
  return new Map(
    parsed.data.messages.flatMap(({ id, response_metadata: said }) => {
      const model = said?.model_name ?? said?.model
      return id === undefined || model === undefined ? [] : [[id, model] as const]
    }),
  )
}

async function modelOf(client: Transaction, { thread_id, approval_id }: Held): Promise<string | null> {
  const { rows } = await client.query<{ model: string | null }>(MODEL, [thread_id, approval_id])
  return rows[0]?.model ?? null
}
