import { z } from 'zod'
import type { Allowed } from '../../runtime/allowed.ts'
import { refuseReferences } from '../../runtime/artifact.ts'
import { systemAssistantId } from '../../runtime/assistant.ts'
import type { Cron as RuntimeCron, CronChange, CronFilter } from '../../runtime/cron.ts'
import { RuntimeError } from '../../runtime/errors.ts'
import { isUuid, newId } from '../../runtime/ids.ts'
import { type Json, toJson } from '../../runtime/json.ts'
import type { Crons } from '../../runtime/ports.ts'
import { findAssistant } from '../../runtime/start-run.ts'
import { type Ask, checkThread, type Endpoint, endpoint, mayRun } from '../endpoint.ts'
import { json, paged, selected } from '../reply.ts'
import { checkAssistant, checkWebhook, type RunPorts } from '../run-streams.ts'
import { Cron, CronCount, CronCreate, CronParams, CronPatch, CronRun, CronSearch } from '../schemas/crons.ts'
import { ThreadParams } from '../schemas/threads.ts'

export interface CronPorts extends RunPorts {
  crons: Crons
}

const NOT_FOUND = { 404: { description: 'No such cron, thread or assistant' } }
const REFUSED = { 422: { description: 'The request makes no sense' } }
const ONE = { 200: { description: 'The cron', schema: Cron }, ...NOT_FOUND }

/** Runs at set times, on a thread or each on a thread of its own. */
export function cronRoutes(ports: CronPorts): Endpoint[] {
  const create = { method: 'post', tag: 'Crons', access: 'crons:create', body: CronCreate } as const
  const one = { path: '/runs/crons/:cron_id', tag: 'Crons', params: CronParams } as const
  const { crons } = ports
  return [
    endpoint({
      ...create,
      path: '/runs/crons',
      summary: 'Start a run at set times, each on a thread of its own',
      answers: { ...ONE, ...REFUSED },
      handle: async (c, { body }, ask) => json(c, await createCron(ports, null, body, ask)),
    }),
    endpoint({
      ...create,
      path: '/threads/:thread_id/runs/crons',
      params: ThreadParams,
      summary: 'Start a run on the thread at set times',
      answers: { ...ONE, ...REFUSED },
      handle: async (c, { params, body }, ask) =>
        json(c, await createCron(ports, params.thread_id, body, ask)),
    }),
    ...cronSearches(ports),
    endpoint({
      ...one,
      method: 'get',
      access: 'crons:read',
      summary: 'Get a cron',
      answers: ONE,
      handle: async (c, { params }, { allowed }) =>
        json(c, await allowedCron(crons, params.cron_id, allowed)),
    }),
    endpoint({
      ...one,
      method: 'patch',
      access: 'crons:update',
      summary: 'Change a cron: what is given is replaced, metadata is merged, null takes away',
      body: CronPatch,
      answers: { ...ONE, ...REFUSED },
      handle: async (c, { params, body }, ask) => json(c, await patchCron(ports, params.cron_id, body, ask)),
    }),
    endpoint({
      ...one,
      method: 'delete',
      access: 'crons:delete',
      summary: 'Delete a cron; its runs stay',
      answers: { 204: { description: 'Deleted' }, ...NOT_FOUND },
      async handle(c, { params }, { allowed }) {
        const { cron_id } = await allowedCron(crons, params.cron_id, allowed)
        await crons.delete(cron_id)
        return c.body(null, 204)
      },
    }),
  ]
}

function cronSearches({ crons }: CronPorts): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/runs/crons/search',
      tag: 'Crons',
      access: 'crons:search',
      summary: 'Search crons',
      body: CronSearch,
      bodyOptional: true,
      answers: { 200: { description: 'A page of crons', schema: z.array(Cron) } },
      async handle(c, { body }, { allowed }) {
        const { select, limit, offset, sort_by, sort_order } = body
        const page = { limit, offset, sort_by, sort_order }
        const now = select?.includes('now') === true ? { now: (await crons.now()).toISOString() } : {}
        return await paged(
          c,
          page,
          (place) => crons.search({ ...page, ...filterOf(body), allowed, ...place }),
          (cron) => selected({ ...cron, ...now }, select),
        )
      },
    }),
    endpoint({
      method: 'post',
      path: '/runs/crons/count',
      tag: 'Crons',
      access: 'crons:search',
      summary: 'Count crons',
      body: CronCount,
      bodyOptional: true,
      answers: { 200: { description: 'How many there are', schema: z.number().int() } },
      handle: async (c, { body }, { allowed }) => json(c, await crons.count({ ...filterOf(body), allowed })),
    }),
  ]
}

/** Whoever may not start the run now may not have it started later. */
async function createCron(
  ports: CronPorts,
  threadId: string | null,
  body: z.output<typeof CronCreate>,
  ask: Ask,
): Promise<RuntimeCron> {
  const { caller, headers } = ask
  checkWebhook(ports, body.webhook)
  const assistant = await findAssistant(ports.assistants, body.assistant_id)
  if (caller.user !== undefined) await checkAssistant(ports, caller, body.assistant_id)
  const run = { ...runOf(body), assistant_id: assistant.assistant_id, metadata: body.metadata ?? {} }
  const allowed = await mayRun(caller, run, threadId === null ? {} : { thread_id: threadId })
  if (threadId !== null) await checkThread(ports.threads, threadId, allowed)
  const { assistant_id: _, metadata, ...payload } = run
  return await ports.crons.create({
    cron_id: newId(),
    assistant_id: assistant.assistant_id,
    thread_id: threadId,
    on_run_completed: threadId === null ? (body.on_run_completed ?? 'delete') : null,
    tenant: caller.person.tenant,
    user_id: caller.user?.identity ?? null,
    schedule: body.schedule,
    timezone: body.timezone ?? null,
    end_time: endOf(body.end_time),
    enabled: body.enabled ?? true,
    payload: given(payload),
    metadata,
    caller: {
      user: caller.user === undefined ? null : (toJson(caller.user) as Record<string, Json>),
      headers,
    },
    allowed,
  })
}

/** The runs stay those of whoever created the cron; who changes what they do must be allowed to start such ones. */
async function patchCron(ports: CronPorts, cronId: string, body: CronPatch, ask: Ask): Promise<RuntimeCron> {
  const { assistant_id, thread_id } = await allowedCron(ports.crons, cronId, ask.allowed)
  const run = { ...runOf(body), assistant_id, metadata: {} }
  const changesRuns = Object.values(runOf(body)).some((value) => value !== undefined)
  if (changesRuns) {
    checkWebhook(ports, body.webhook)
    const allowed = await mayRun(ask.caller, run, thread_id === null ? {} : { thread_id })
    if (thread_id !== null) await checkThread(ports.threads, thread_id, allowed)
  }
  const { assistant_id: _, metadata: _m, ...payload } = run
  const change: CronChange = {
    ...(body.schedule == null ? {} : { schedule: body.schedule }),
    ...(body.timezone === undefined ? {} : { timezone: body.timezone }),
    ...(body.end_time === undefined ? {} : { end_time: endOf(body.end_time) }),
    ...(body.enabled == null ? {} : { enabled: body.enabled }),
    ...(body.on_run_completed == null ? {} : { on_run_completed: body.on_run_completed }),
    ...(body.metadata == null ? {} : { metadata: body.metadata }),
    payload,
    ...(changesRuns ? { by: ask.caller.person.identity } : {}),
  }
  return found(cronId, await ports.crons.update(cronId, change))
}

/** Of a cron what is said of its runs. */
function runOf(body: CronPatch): z.output<typeof CronRun> {
  const run = CronRun.parse(body)
  refuseReferences(run.input ?? null)
  return run
}

/** Without what the client said nothing of, or null, which is the same. */
function given(payload: object): Record<string, Json> {
  return Object.fromEntries(Object.entries(payload).filter(([, value]) => value != null))
}

/** Without an offset it is UTC. */
function endOf(time: string | null | undefined): string | null {
  if (time == null) return null
  const at = new Date(/(?:Z|[+-]\d\d:?\d\d)$/i.test(time) ? time : `${time}Z`)
  if (!Number.isNaN(at.getTime())) return at.toISOString()
  throw new RuntimeError('invalid_input', 'end_time: must be a time such as 2027-01-31T18:00:00Z.')
}

/** One that is somebody else's is not there. */
async function allowedCron(crons: Crons, cronId: string, allowed: Allowed): Promise<RuntimeCron> {
  return found(cronId, await crons.get(cronId, allowed))
}

function found(cronId: string, cron: RuntimeCron | undefined): RuntimeCron {
  if (cron === undefined) throw new RuntimeError('cron_not_found', `Cron ${cronId} does not exist.`)
  return cron
}

function filterOf({
  assistant_id: id,
  thread_id,
  enabled,
  metadata,
}: z.output<typeof CronCount>): Pick<CronFilter, 'assistant_id' | 'thread_id' | 'enabled' | 'metadata'> {
  return {
    ...(id == null ? {} : { assistant_id: isUuid(id) ? id : systemAssistantId(id) }),
    ...(thread_id == null ? {} : { thread_id }),
    ...(enabled == null ? {} : { enabled }),
    ...(metadata == null ? {} : { metadata }),
  }
}
