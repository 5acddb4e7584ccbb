import { readFile } from 'node:fs/promises'
import type { Needs } from '../runtime/needs.ts'
import { peopleOf } from '../runtime/needs.ts'
import { loadPolicy, type ReadPolicy } from './policy-file.ts'

export interface PolicyQuestion {
  /** Of recorded calls. Unset: the policy alone is checked. */
  calls: string | undefined
  json: boolean
}

interface Judgement {
  line: number
  tool: string
  action: string
  rule: string | null
  needs: Needs | null
  reason: string
  expect: string | null
}

interface Judging<Policy> {
  read: ReadPolicy<Policy>
  none: Policy
  judge: (policy: Policy, text: string) => Judgement[]
}

/** Tells what the policy makes of the calls, a line for each. Returns the exit code: 1 where one is not as it expects. */
export async function reportPolicy<Policy extends { version: string; rules: unknown[] }>(
  file: string | undefined,
  { calls, json }: PolicyQuestion,
  { read, none, judge }: Judging<Policy>,
  say: (line: string) => void,
): Promise<number> {
  const policy = file === undefined ? none : await loadPolicy(file, read)
  if (calls === undefined) {
    const { version, rules } = policy
    if (json) say(JSON.stringify({ file: file ?? null, version, rules: rules.length }))
    else say(`ok: ${rules.length} rules, version ${version}, ${file ?? 'no file'}`)
    return 0
  }
  const judged = judgementsOf(calls, await readFile(calls, 'utf8'), (text) => judge(policy, text))
  const wrong = judged.filter(({ action, expect }) => expect !== null && expect !== action)
  for (const one of judged)
    say(json ? JSON.stringify({ ...one, policy_version: policy.version }) : lineOf(one))
  if (!json) say(`${wrong.length === 0 ? 'ok' : `${wrong.length} not as expected`}: ${judged.length} calls`)
  return wrong.length === 0 ? 0 : 1
}

function judgementsOf(file: string, text: string, judge: (text: string) => Judgement[]): Judgement[] {
  try {
    return judge(text)
  } catch (cause) {
    throw new Error(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

function lineOf({ line, tool, action, rule, needs, reason, expect }: Judgement): string {
  const people = needs === null ? '' : ` needs ${peopleOf(needs)} from ${needs.who.join(', ')}.`
  const differs = expect !== null && expect !== action ? ` EXPECTED ${expect}.` : ''
  return `${line} ${action} ${tool} [${rule ?? 'no rule'}]${people}${differs} ${reason}`
}
