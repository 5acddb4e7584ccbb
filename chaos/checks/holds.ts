import { type Evidence, fact, type Line, none } from './check.ts'

interface Row {
  approval_id: string
  thread_id: string
  status: string
  decisions: number
  resumed_run_id: string | null
  runs: number
}

const HOLDS = `
  select h.approval_id, h.thread_id, h.status, json_array_length(h.decisions) as decisions, h.resumed_run_id,
    (select count(*)::integer from runs r
      where r.thread_id = h.thread_id and r.request -> 'command' -> 'resume' ->> h.interrupt_id is not null) as runs
  from holds h`

export async function checkHolds({ query, races }: Evidence): Promise<Line[]> {
  const holds = await query<Row>(HOLDS)
  const decided = new Map(holds.map((hold) => [hold.approval_id, hold]))
  const name = ({ approval_id, thread_id, status }: Row) =>
    `approval ${approval_id} (${status}) of thread ${thread_id}`
  const tries = races.reduce((sum, race) => sum + race.accepted + race.refused + race.unknown, 0)
  return [
    fact('holds', `${holds.length}, ${tries} tries to decide them`),
    none(
      'holds left open',
      holds.filter(({ status }) => status === 'pending' || status === 'cancelled').map(name),
    ),
    none('holds decided other than once', holds.filter(({ decisions }) => decisions !== 1).map(name)),
    none(
      'holds that accepted two clients',
      races.filter(({ accepted }) => accepted > 1).map(({ approvalId }) => `approval ${approvalId}`),
    ),
    none(
      'holds that refused everybody',
      races
        .filter(({ accepted, unknown }) => accepted === 0 && unknown === 0)
        .map(({ approvalId }) => `approval ${approvalId}`),
    ),
    none(
      'odd answers to a decision',
      races.flatMap(({ approvalId, odd }) => odd.map((text) => `approval ${approvalId}: ${text}`)),
    ),
    none(
      'decisions lost',
      races
        .filter(({ approvalId, accepted }) => accepted > 0 && decided.get(approvalId)?.decisions === 0)
        .map(({ approvalId }) => approvalId),
    ),
    none(
      'decisions without their run',
      holds.filter(({ resumed_run_id, runs }) => resumed_run_id === null || runs === 0).map(name),
    ),
  ]
}
