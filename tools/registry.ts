import { argsHash } from '../runtime/call.ts'
import { RuntimeError } from '../runtime/errors.ts'
import type { Json } from '../runtime/json.ts'
import { NOTHING_SHOWN } from '../runtime/preview.ts'
import { refusalOf } from '../runtime/quorum.ts'
import type { CheckArgs, CheckEdit } from '../runtime/resume.ts'
import type { Services } from '../runtime/services.ts'
import { askHuman } from './ask-human.ts'
import { calculator } from './calculator.ts'
import { currentTime } from './current-time.ts'
import type { Tool } from './define.ts'
import { deleteFile } from './delete-file.ts'
import { editFile } from './edit-file.ts'
import { httpFetch } from './http-fetch.ts'
import { listFiles } from './list-files.ts'
import { parseArgs, riskOf } from './policy.ts'
import { decide } from './policy/decide.ts'
import { grown } from './policy/needs.ts'
import type { Policy } from './policy/schema.ts'
import { showCall } from './preview.ts'
import { readFile } from './read-file.ts'
import { recall } from './recall.ts'
import { remember } from './remember.ts'
import { runJavascript } from './run-javascript.ts'
import { runPython } from './run-python.ts'
import { searchFiles } from './search-files.ts'
import { sendEmail } from './send-email.ts'
import { sqlExecute } from './sql-execute.ts'
import { sqlQuery } from './sql-query.ts'
import { writeFile } from './write-file.ts'

/** Every tool that Holdpoint brings. An agent has none of them until its graph names it. */
export const TOOLS = [
  runJavascript,
  runPython,
  listFiles,
  readFile,
  writeFile,
  editFile,
  searchFiles,
  deleteFile,
  httpFetch,
  sendEmail,
  sqlQuery,
  sqlExecute,
  calculator,
  currentTime,
  askHuman,
  remember,
  recall,
] as unknown as Tool[]

/** The tools of these names, in this order: an agent's allowlist. */
export function toolsNamed(...names: string[]): Tool[] {
  return names.map((name) => {
    const tool = TOOLS.find((one) => one.name === name)
    if (tool === undefined)
      throw new Error(`There is no tool "${name}". There are: ${TOOLS.map((one) => one.name).join(', ')}.`)
    return tool
  })
}

/** Reads a person's edited arguments with the tool's own schema. */
export const checkArgs: CheckArgs = (name, args) => editOf(name, args).edited

/** As `checkArgs`, as the policy in force judges them in the place of the held ones, and as the tool shows the call. */
export function checkEditBy(
  policy: { current(): Policy },
  services: Services,
  untrustedIn: (threadId: string) => Promise<string[]>,
): CheckEdit {
  return async (hold, args, by) => {
    const refusal = by.alone ? undefined : refusalOf(hold, by, 'edit')
    if (refusal !== undefined) throw refusal
    const { tool, edited } = editOf(hold.tool, args)
    const origin = {
      agents: [hold.graph_id, hold.assistant_id],
      tenant: hold.tenant_id,
      requester: hold.requester ?? undefined,
      roles: hold.requester_roles ?? undefined,
      untrusted: await untrustedIn(hold.thread_id),
    }
    const call = { tool: tool.name, args: edited.args, risk: riskOf(tool, edited.args), origin }
    const { action, needs, reason } = decide(policy.current(), call)
    if (action === 'deny') throw new RuntimeError('invalid_decision', `${reason} The approval still waits.`)
    // Alone, whoever edits releases, and has seen the arguments.
    const key = { threadId: hold.thread_id, callId: hold.call_id }
    const looks = !by.alone && hold.status === 'pending'
    const run = { services, signal: new AbortController().signal }
    const shown = looks ? await showCall(tool, edited.args, key, run) : NOTHING_SHOWN
    return { ...edited, needs: action === 'hold' ? grown(hold.needs, needs) : hold.needs, shown }
  }
}

function editOf(name: string, args: Json) {
  const tool = TOOLS.find((one) => one.name === name)
  if (tool === undefined)
    throw new RuntimeError(
      'invalid_decision',
      `Tool "${name}" is not known here, so its arguments cannot be checked. Reject the call.`,
    )
  const parsed = parseArgs(tool, args)
  if (!parsed.ok)
    throw new RuntimeError(
      'invalid_decision',
      `${name} does not take these arguments: ${parsed.reason}. The approval still waits.`,
    )
  return { tool, edited: { args: parsed.args, hash: argsHash(parsed.args) } }
}
