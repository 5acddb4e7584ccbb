import type { Script, ScriptedCall } from '../script.ts'
import { type Evidence, fact, type Line, none } from './check.ts'

interface HoldRow {
  thread_id: string
  kind: 'tool' | 'in_doubt'
  tool: string
  note: string | null
  status: string
  attempt: number
}

// A call is named by its note, whatever ids the model's answers got.
const HOLDS = `
  select h.thread_id, h.kind, h.tool, h.status, coalesce(h.args ->> 'note', h.args ->> 'subject') as note, r.attempt
  from holds h join runs r on r.thread_id = h.thread_id and r.run_id = h.run_id`

const ENDED = `select metadata ->> 'tag' as tag from runs where status = 'success' and request ->> 'command' is null`

/** Effects by the note that names them: the model, asked again after a takeover, gives the same note other ids. */
export async function checkEffects(evidence: Evidence): Promise<Line[]> {
  const { query, scripts, appended, claimed, mails, tally } = evidence
  const holds = await query<HoldRow>(HOLDS)
  const ended = new Set((await query<{ tag: string }>(ENDED)).map(({ tag }) => tag))
  const refused = new Set(
    holds.filter(({ kind, status }) => kind === 'tool' && status !== 'approved').map(({ note }) => note),
  )
  const calls = [...scripts.values()].flatMap((script) => callsOf(script))
  const due = calls.filter(({ tag, call }) => ended.has(tag) && !refused.has(call.note))
  const effects = [...appended, ...claimed, ...mails.map((note) => ({ note, tool: 'send_email', key: note }))]
  const byNote = Map.groupBy(effects, ({ note }) => note)
  const times = (note: string) => byNote.get(note)?.length ?? 0
  const keys = (note: string) => new Set(byNote.get(note)?.map(({ key }) => key)).size

  const once = due.filter(({ call }) => !['journal_none', 'journal_idempotent'].includes(call.tool))
  const keyed = due.filter(({ call }) => call.tool === 'journal_idempotent')
  const doubts = holds.filter(({ kind }) => kind === 'in_doubt')
  return [
    fact('effects that were due', due.length),
    none(
      'effects lost',
      due.filter(({ call }) => times(call.note) === 0).map(({ call }) => nameOf(call)),
    ),
    none(
      'effects doubled',
      once.filter(({ call }) => times(call.note) > 1).map(({ call }) => nameOf(call)),
    ),
    none(
      'idempotent calls with a second key',
      keyed.filter(({ call }) => keys(call.note) > 1).map(({ call }) => nameOf(call)),
    ),
    none(
      'effects of calls that a person refused',
      [...refused].filter((note) => note !== null && times(note) > 0).map(String),
    ),
    fact(
      'idempotent calls repeated with the same key',
      keyed.filter(({ call }) => times(call.note) > 1).length,
    ),
    {
      ...fact('in doubt, asked of a person', `${doubts.length}${told(tally.startingWith('doubts'))}`),
    },
    none(
      'in doubt though the tool has a probe',
      doubts
        .filter(({ tool }) => tool !== 'journal_once_blind')
        .map(({ thread_id, note }) => `thread ${thread_id}, ${note}`),
    ),
    none(
      'in doubt though no worker lost the run',
      doubts
        .filter(({ attempt }) => attempt < 2)
        .map(({ thread_id, note }) => `thread ${thread_id}, ${note}`),
    ),
  ]
}

function callsOf({ tag, turns }: Script): { tag: string; call: ScriptedCall }[] {
  return turns.flat().map((call) => ({ tag, call }))
}

function nameOf({ tool, note }: ScriptedCall): string {
  return `${tool} ${note}`
}

function told(counts: Map<string, number>): string {
  const list = [...counts].map(([name, count]) => `${count} ${name.replace('doubts: ', '')}`)
  return list.length === 0 ? '' : ` (${list.join(', ')})`
}
