interface Greeted {
  /** Holdpoint's own agents are served because there is nothing else. */
  bundled: boolean
  database: string
  /** What carries them between processes, where that is set. */
  events: string | undefined
  /** In order of preference; empty where the rehearsal model answers. */
  models: string[]
  /** Nobody is asked who they are. */
  alone: boolean
  /** Unset: there is no file. */
  policy: string | undefined
  /** Approvals that nobody has decided. */
  waiting: number
}

/** What a person reads when the server has started. */
export function greeting(
  url: string,
  { bundled, database, events, models, alone, policy, waiting }: Greeted,
): string {
  const rehearsal = 'rehearsal: rules, no intelligence. Set OPENAI_API_KEY for a real one'
  return [
    `Holdpoint listens on ${url}`,
    ...(bundled ? ["  graphs     Holdpoint's own agents, because there is no langgraph.json here"] : []),
    `  database   ${database}`,
    ...(events === undefined ? [] : [`  events     ${events}`]),
    `  model      ${models.length > 0 ? models.join(', then ') : rehearsal}`,
    ...(alone ? ['  people     no keys: whoever is here is local, and may release what they asked for'] : []),
    `  policy     ${policy ?? "none: the tools' own risks count"}`,
    `  approvals  ${waiting === 0 ? 'none wait' : `${waiting} wait`}: ${url}/console`,
    `  reference  ${url}/docs`,
    '',
  ].join('\n')
}
