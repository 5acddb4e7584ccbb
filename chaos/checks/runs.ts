import { doneText } from '../script.ts'
import { type Evidence, fact, type Line, none } from './check.ts'

/** Of the runs that may not end well: a run in which all fails must not pass. */
const MIN_SUCCESS = 0.9

interface RunRow {
  run_id: string
  thread_id: string
  status: string
  error: string | null
  tag: string | null
}

const RUNS = `
  select run_id, thread_id, status, error ->> 'error' as error,
    case when request ->> 'command' is null then metadata ->> 'tag' end as tag
  from runs`

// DESIGN's table of statuses, for a thread on which nothing goes on.
const DISAGREEING = `
  select t.thread_id, t.status, last.status as run
  from threads t join lateral (
    select r.status from runs r where r.thread_id = t.thread_id order by r.position desc limit 1
  ) last on true
  where t.status <> case
    when exists (select 1 from holds h where h.thread_id = t.thread_id and h.status = 'pending') then 'interrupted'
    when exists (select 1 from runs r where r.thread_id = t.thread_id and r.status in ('pending', 'running')) then 'busy'
    when last.status in ('error', 'timeout') then 'error'
    else 'idle' end`

const MESSAGES = `
  select t.thread_id, m ->> 'type' as type, coalesce(m -> 'kwargs' ->> 'content', m ->> 'content') as content,
    m -> 'id' as id
  from threads t, jsonb_array_elements(t."values" -> 'messages') as m`

export async function checkRuns({ query, acknowledged, tally }: Evidence): Promise<Line[]> {
  const runs = await query<RunRow>(RUNS)
  const byId = new Map(runs.map((run) => [run.run_id, run]))
  const ends = Map.groupBy(runs, ({ status, error }) => (error === null ? status : `${status} ${error}`))
  const open = runs.filter(({ status }) => status === 'pending' || status === 'running')
  const good = acknowledged.filter(({ runId }) => byId.get(runId)?.status === 'success').length
  const share = acknowledged.length === 0 ? 0 : good / acknowledged.length
  const disagreeing = await query<{ thread_id: string; status: string; run: string }>(DISAGREEING)
  return [
    fact('runs acknowledged', acknowledged.length),
    none('acknowledged runs that are gone', acknowledged.filter(({ runId }) => !byId.has(runId)).map(nameOf)),
    none(
      'runs that did not end',
      open.map((run) => `${run.status}: ${nameOf({ threadId: run.thread_id, runId: run.run_id })}`),
    ),
    fact(
      'runs with those that went on after a hold',
      [...ends].map(([end, list]) => `${list.length} ${end}`).join(', '),
    ),
    {
      what: 'acknowledged runs that succeeded',
      found: `${(share * 100).toFixed(1)} %`,
      ok: share >= MIN_SUCCESS,
      look: runs
        .filter(({ status }) => status === 'error')
        .map((run) => `${run.error}: ${nameOf({ threadId: run.thread_id, runId: run.run_id })}`),
    },
    none(
      'runs given up as worker_lost',
      runs
        .filter(({ error }) => error === 'worker_lost')
        .map((run) => nameOf({ threadId: run.thread_id, runId: run.run_id })),
    ),
    fact('starts that nobody acknowledged', tally.count('starts that nobody acknowledged')),
    none(
      "threads whose status is not their runs'",
      disagreeing.map(({ thread_id, status, run }) => `thread ${thread_id} is ${status} after ${run}`),
    ),
    ...(await checkMessages(query, runs)),
  ]
}

/** Each input once in its thread, and behind it the model's last word, once. */
async function checkMessages(query: Evidence['query'], runs: RunRow[]): Promise<Line[]> {
  const messages = await query<{ thread_id: string; content: unknown }>(MESSAGES)
  const texts = Map.groupBy(messages, ({ thread_id }) => thread_id)
  const count = (threadId: string, part: string) =>
    (texts.get(threadId) ?? []).filter(({ content }) => typeof content === 'string' && content.includes(part))
      .length
  const inputs = runs.filter(({ tag }) => tag !== null)
  const wrong = (part: (tag: string) => string, is: (times: number) => boolean, among = inputs) =>
    among
      .filter(({ thread_id, tag }) => is(count(thread_id, part(tag ?? ''))))
      .map(({ thread_id, tag }) => `thread ${thread_id}, ${tag}`)
  const input = (tag: string) => `"tag":"${tag}"`
  const succeeded = inputs.filter(({ status }) => status === 'success')
  return [
    none(
      'inputs doubled',
      wrong(input, (times) => times > 1),
    ),
    none(
      'inputs lost',
      wrong(input, (times) => times === 0),
    ),
    none(
      'threads without the last word of a run',
      wrong(doneText, (times) => times !== 1, succeeded),
    ),
  ]
}

function nameOf({ threadId, runId }: { threadId: string; runId: string }): string {
  return `run ${runId} of thread ${threadId}`
}
