import { parseArgs } from 'node:util'
import { LINK_USAGE, type LinkCommand, readLinkCommand } from './link-command.ts'
import { MCP_USAGE, type McpCommand, readMcpCommand } from './mcp-command.ts'
import type { PolicyQuestion } from './policy-report.ts'
import { PEOPLE_USAGE, type PeopleCommand, readPeopleCommand } from './people-command.ts'
import { readStorageCommand, STORAGE_USAGE, type StorageCommand } from './storage-command.ts'
import { versionOf } from './version.ts'
import type { WebhooksCommand } from './webhooks-options.ts'

const USAGE = `holdpoint [serve] [--config FILE] [--port PORT] [--host ADDRESS]
holdpoint audit verify [--heads FILE]
holdpoint policy check [--policy FILE] [--json]
holdpoint policy test CALLS [--policy FILE] [--json]
${PEOPLE_USAGE}
${LINK_USAGE}
${MCP_USAGE}
${STORAGE_USAGE}
holdpoint webhooks create | list | test | rotate | disable | enable | delete | dead | redeliver | secret
holdpoint --version | --help

Serves the graphs of the langgraph.json in this folder. Where there is none, Holdpoint's own agents.

  --config FILE     another langgraph.json         HOLDPOINT_CONFIG
  --policy FILE     another holdpoint.policy.ts    HOLDPOINT_POLICY
  --port PORT       0: any that is free            PORT              2024
  --host ADDRESS    where to listen                HOST              127.0.0.1

audit verify walks the record of approvals and effects and says what was changed in it, and where; then its exit
code is 1. --heads: heads that a server wrote down, else HOLDPOINT_DATA_DIR/audit-heads.jsonl where it is.

policy check reads the policy and says what is wrong with it. policy test says what it makes of recorded calls, JSON
in lines: {"tool", "args"} and, as needed, "agent", "tenant", "requester", "roles", "untrusted", "risk". Where one has an "expect" (allow,
hold, deny) and it is not so, the exit code is 1. No server is started.
keys and people say who may come in, and as what: viewer, operator, approver, senior, admin. As soon as there is one
key, nobody comes in without. An embedded database has room for one process: stop the server first.
approvals link makes an address by which somebody who has a key decides an approval once, without it. It begins with
HOLDPOINT_PUBLIC_URL, or with HOST and PORT.
mcp check asks the MCP servers of holdpoint.mcp.json whether their tools are as they were approved; mcp approve shows what
is new or changed, and approves it (docs/mcp.md).
storage verify looks for parts of states that are missing, or not what they were, and then its exit code is 1. storage
report says what takes room: tables, and the largest threads. storage adopt makes threads of what LangGraph's PostgresSaver
stored in the database (docs/storage.md).
webhooks says who is told of approvals and runs: holdpoint webhooks --help.

An option counts more than the variable of the environment beside it. Every other setting is such a variable:
DATABASE_URL, HOLDPOINT_SECRET, HOLDPOINT_DATA_DIR, OPENAI_API_KEY and more.
`

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const OPTIONS = {
  config: text,
  port: text,
  host: text,
  heads: text,
  policy: text,
  json: flag,
  help: { ...flag, short: 'h' },
  version: flag,
} as const

/** Where each option is found among the settings. */
const SETTINGS = {
  config: 'HOLDPOINT_CONFIG',
  policy: 'HOLDPOINT_POLICY',
  port: 'PORT',
  host: 'HOST',
} as const

/** Does what the command line asks for. What it does not understand is one line, and exit code 2. */
export async function command(argv: string[]): Promise<void> {
  if (argv[0] === 'webhooks') return await webhooksCommand(argv.slice(1))
  const asked = understand(argv)
  if ('problem' in asked) {
    process.stderr.write(`${asked.problem} See holdpoint --help.\n`)
    process.exitCode = 2
  } else if (asked.help === true) process.stdout.write(USAGE)
  else if (asked.version === true) process.stdout.write(`${versionOf()}\n`)
  else if (asked.audit === true) {
    const { audit } = await import('./manage.ts')
    process.exitCode = await audit(asked.heads)
  } else if (asked.question !== undefined) {
    const { askPolicy } = await import('./manage.ts')
    process.exitCode = await askPolicy(asked.question, settingsOf(asked))
  } else if (asked.people !== undefined) {
    const { changePeople } = await import('./manage.ts')
    process.exitCode = await changePeople(asked.people)
  } else if (asked.link !== undefined) {
    const { linkApproval } = await import('./manage.ts')
    process.exitCode = await linkApproval(asked.link)
  } else if (asked.storage !== undefined) {
    const { manageStorage } = await import('./manage.ts')
    process.exitCode = await manageStorage(asked.storage)
  } else if (asked.mcp !== undefined) {
    const { manageMcp } = await import('./manage.ts')
    process.exitCode = await manageMcp(asked.mcp)
  } else {
    // Half a second that the answers above need not wait for.
    const { main } = await import('./main.ts')
    main(settingsOf(asked))
  }
}

async function webhooksCommand(argv: string[]): Promise<void> {
  const { readWebhooks, WEBHOOKS_USAGE } = await import('./webhooks-options.ts')
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(WEBHOOKS_USAGE)
    return
  }
  let asked: WebhooksCommand
  try {
    asked = readWebhooks(argv)
  } catch (error) {
    process.stderr.write(`${firstSentence(error)} See holdpoint webhooks --help.\n`)
    process.exitCode = 2
    return
  }
  const { webhooks } = await import('./manage.ts')
  process.exitCode = await webhooks(asked)
}

interface Asked {
  config?: string
  port?: string
  host?: string
  policy?: string
  heads?: string
  json?: boolean
  /** The policy is asked, and nothing served. */
  question?: PolicyQuestion
  /** The record is to be verified, and nothing served. */
  audit?: boolean
  /** Keys and their owners are to be changed or listed. */
  people?: PeopleCommand
  /** A link is to be made, and nothing served. */
  link?: LinkCommand
  /** MCP servers are to be asked, and nothing served. */
  mcp?: McpCommand
  /** What is stored is to be looked at, and nothing served. */
  storage?: StorageCommand
  help?: boolean
  version?: boolean
}

function understand(argv: string[]): Asked | { problem: string } {
  try {
    if (argv[0] === 'keys' || argv[0] === 'people') {
      const people = readPeopleCommand(argv)
      return people === undefined ? { help: true } : { people }
    }
    if (argv[0] === 'approvals') {
      const link = readLinkCommand(argv)
      return link === undefined ? { help: true } : { link }
    }
    if (argv[0] === 'storage') {
      const storage = readStorageCommand(argv)
      return storage === undefined ? { help: true } : { storage }
    }
    if (argv[0] === 'mcp') {
      const mcp = readMcpCommand(argv)
      return mcp === undefined ? { help: true } : { mcp }
    }
    const { values, positionals } = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true })
    const [name = 'serve', ...more] = positionals
    if (name === 'audit') return understandAudit(values, more)
    if (name === 'policy') return understandPolicy(values, more)
    if (values.json !== undefined) return { problem: '--json belongs to holdpoint policy.' }
    if (values.heads !== undefined) return { problem: '--heads belongs to holdpoint audit verify.' }
    if (name !== 'serve') return { problem: `There is no command "${name}".` }
    if (more.length > 0) return { problem: `serve takes no "${more[0]}".` }
    return values
  } catch (error) {
    return { problem: firstSentence(error) }
  }
}

function understandAudit(
  { heads, help = false, ...others }: Asked,
  [action, ...more]: string[],
): Asked | { problem: string } {
  if (help) return { help }
  if (action !== 'verify' || more.length > 0) return { problem: 'What is there to audit is audit verify.' }
  const [other] = Object.keys(others)
  if (other !== undefined) return { problem: `audit verify takes no --${other}.` }
  return { audit: true, ...(heads === undefined ? {} : { heads }) }
}

function understandPolicy(
  { help = false, policy, config, json = false, ...others }: Asked,
  [action, calls, ...more]: string[],
): Asked | { problem: string } {
  if (help) return { help }
  const [other] = Object.keys(others)
  if (other !== undefined) return { problem: `policy takes no --${other}.` }
  const settings = {
    ...(policy === undefined ? {} : { policy }),
    ...(config === undefined ? {} : { config }),
  }
  if (action === 'check' && calls === undefined) return { ...settings, question: { calls, json } }
  if (action === 'test' && calls !== undefined && more.length === 0)
    return { ...settings, question: { calls, json } }
  return { problem: 'What a policy is asked is policy check, or policy test CALLS.' }
}

function settingsOf(asked: Omit<Asked, 'people' | 'link' | 'mcp'>): Record<string, string> {
  const given = Object.entries(SETTINGS).map(([option, setting]) => [
    setting,
    asked[option as keyof typeof SETTINGS],
  ])
  return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as Record<string, string>
}

/** Node goes on with hints on how to escape a dash, over several lines. */
function firstSentence(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return `${message.split(/\.\s|\n/, 1)[0]?.replace(/\.$/, '')}.`
}
