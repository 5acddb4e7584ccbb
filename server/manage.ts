import { resolve } from 'node:path'
import { interop, untouched } from '../runtime/interop.ts'
import { endpointSecrets, webhookKeys } from '../runtime/webhook-secret.ts'
import { secretOf } from '../storage/connect.ts'
import { openStorage } from '../storage/open.ts'
import { reportStorage } from '../storage/report-storage.ts'
import { verifyRecord } from '../storage/verify-record.ts'
import { verifyStorage } from '../storage/verify-storage.ts'
import { comparePins } from '../tools/mcp/approve.ts'
import { judgeRecorded } from '../tools/policy/recorded-calls.ts'
import { NO_RULES, readPolicy } from '../tools/policy/schema.ts'
import { TOOLS } from '../tools/registry.ts'
import { secretsOf } from '../tools/secrets.ts'
import { reportAudit } from './audit-report.ts'
import { type Config, loadConfig } from './config.ts'
import { type LinkCommand, makeLink } from './link-command.ts'
import { ownUrl } from './listen.ts'
import { type McpCommand, reportMcp } from './mcp-command.ts'
import { carryOut, type PeopleCommand } from './people-command.ts'
import { findPolicy } from './policy-file.ts'
import { type PolicyQuestion, reportPolicy } from './policy-report.ts'
import { projectFolder } from './project.ts'
import { type StorageCommand, tellStorage } from './storage-command.ts'
import { manageWebhooks } from './webhooks-command.ts'
import type { WebhooksCommand } from './webhooks-options.ts'

/** What the command line does beside serving: each opens what it needs, and closes it again. */

/** Short enough that a wrong address is told within the five seconds that a person waits. */
const CONNECT_TIMEOUT_MS = 3_000
/** For all MCP servers together: some fetch themselves first. */
const MCP_MS = 120_000

/** Verifies the record of the database that the settings name, and tells it. Returns the exit code. */
export function audit(headsFile: string | undefined): Promise<number> {
  return told(async (say) => {
    const place = placeOf(loadConfig(process.env))
    const verify = (heads: Parameters<typeof verifyRecord>[1]) => verifyRecord(place, heads)
    return await reportAudit({ headsFile, dataDir: place.dataDir }, verify, say)
  })
}

/** Looks at what is stored in the database that the settings name, and tells it. Returns the exit code. */
export function manageStorage(command: StorageCommand): Promise<number> {
  return told(async (say) => {
    const config = loadConfig(process.env)
    const place = placeOf(config)
    const adopt = async (of: { graphId: string; tenant: string }) => {
      const storage = await openStorage({ ...place, redis: undefined })
      try {
        return await storage.adopt({ ...of, show: (config.interop ? interop : untouched).show })
      } finally {
        await storage.close()
      }
    }
    const report = (top: number) => reportStorage(place, top)
    return await tellStorage(command, { verify: () => verifyStorage(place), report, adopt }, say)
  })
}

/** Tells what the policy that the settings name makes of recorded calls. Returns the exit code. */
export function askPolicy(question: PolicyQuestion, options: Record<string, string> = {}): Promise<number> {
  return told(async (say) => {
    const { policyFile, configFile } = loadConfig({ ...process.env, ...options })
    return await reportPolicy(
      findPolicy(policyFile, projectFolder(configFile)),
      question,
      { read: readPolicy, none: NO_RULES, judge: (rules, text) => judgeRecorded(rules, TOOLS, text) },
      say,
    )
  })
}

/** Carries out what the command line asks for of keys and their owners, and tells it. Returns the exit code. */
export function changePeople(command: PeopleCommand): Promise<number> {
  return told(async (out) => {
    const storage = await openStorage(placeOf(loadConfig(process.env)))
    try {
      return await carryOut(storage.people, command, { out, say: complain })
    } finally {
      await storage.close()
    }
  })
}

/** Manages who is told of what, in the database that the settings name, and tells it. Returns the exit code. */
export function webhooks(asked: WebhooksCommand): Promise<number> {
  return told(async (say) => {
    const place = placeOf(loadConfig(process.env))
    const storage = await openStorage({ ...place, redis: undefined })
    try {
      const keys = webhookKeys(await secretOf(place))
      for (const line of await manageWebhooks({ ...storage, keys }, asked)) say(line)
      return 0
    } finally {
      await storage.close()
    }
  })
}

/** Makes a link to an approval, and prints it. Returns the exit code. */
export function linkApproval(command: LinkCommand): Promise<number> {
  return told(async (out) => {
    const config = loadConfig(process.env)
    const { publicUrl, host, port } = config
    if (publicUrl === undefined && port === 0)
      throw new Error('Set HOLDPOINT_PUBLIC_URL, or PORT: a link begins with it.')
    const place = placeOf(config)
    const storage = await openStorage(place)
    try {
      const keys = webhookKeys(await secretOf(place))
      const ports = {
        ...storage,
        clock: storage.now,
        endpointSecrets: endpointSecrets(storage.webhookEndpoints, keys),
      }
      await makeLink(ports, command, { base: publicUrl ?? ownUrl(host, port), out, say: complain })
      return 0
    } finally {
      await storage.close()
    }
  })
}

/** Asks MCP servers for their tools, and tells or approves what they offer. Returns the exit code. */
export function manageMcp(command: McpCommand): Promise<number> {
  return told(async (say) => {
    const secrets = secretsOf(loadConfig(process.env).toolSecrets, process.env)
    const signal = AbortSignal.timeout(MCP_MS)
    return await reportMcp(
      command,
      (file, write) => comparePins(resolve(file), secrets, { write, signal }),
      say,
    )
  })
}

function placeOf(config: Config) {
  return { ...config, dataDir: resolve(config.dataDir), poolSize: 1, connectTimeoutMs: CONNECT_TIMEOUT_MS }
}

/** What cannot be done is one line, and exit code 1. */
async function told(work: (say: (line: string) => void) => Promise<number>): Promise<number> {
  try {
    return await work((line) => process.stdout.write(`${line}\n`))
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error))
    return 1
  }
}

function complain(line: string): void {
  process.stderr.write(`${line}\n`)
}
