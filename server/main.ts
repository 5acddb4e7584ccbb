import { join, resolve } from 'node:path'
import { MODEL } from '../models/gateway.ts'
import { openModel } from '../models/open-model.ts'
import { armFailpoints } from '../runtime/failpoint.ts'
import { interop, untouched } from '../runtime/interop.ts'
import type { Clock, Log } from '../runtime/ports.ts'
import { startScheduler } from '../runtime/scheduler.ts'
import { Services } from '../runtime/services.ts'
import { withTtl } from '../runtime/store.ts'
import { deferRunTrees } from '../runtime/lazy-run-tree.ts'
import { mendStoreBatches } from '../runtime/store-batches.ts'
import { mendSubgraphResume } from '../runtime/subgraph-resume.ts'
import { startSweeper } from '../runtime/sweeper.ts'
import { endpointSecrets, webhookKeys } from '../runtime/webhook-secret.ts'
import { startWebhooks } from '../runtime/webhooks.ts'
import { startWorker } from '../runtime/worker.ts'
import { WORKSPACES } from '../runtime/workspaces.ts'
import { secretOf } from '../storage/connect.ts'
import { openStorage } from '../storage/open.ts'
import { CLOCK } from '../tools/current-time.ts'
import { guardedAgent, HTTP_ACCESS } from '../tools/http-guard.ts'
import { checkEditBy } from '../tools/check-edit.ts'
import { LANGCHAIN_CALLS } from '../tools/define.ts'
import { callFromLangChain } from '../tools/langchain-call.ts'
import { createMcpConnections, MCP } from '../tools/mcp/connections.ts'
import { MAILER, outboxMailer, smtpMailer } from '../tools/mailer.ts'
import { POLICY } from '../tools/policy/current.ts'
import { beyondOne } from '../tools/policy/needs.ts'
import { NO_RULES, readPolicy } from '../tools/policy/schema.ts'
import { createSqlAccess, SQL_ACCESS } from '../tools/sql/access.ts'
import { chooseSandbox } from '../tools/sandbox/choose.ts'
import { SANDBOX } from '../tools/sandbox/sandbox.ts'
import { SECRETS, secretsOf } from '../tools/secrets.ts'
import { createWorkspaces } from '../tools/workspace.ts'
import { createApp } from './app.ts'
import { checkReach, type Config, loadConfig } from './config.ts'
import { corsOf } from './cors.ts'
import { startOfCron } from './cron-request.ts'
import { greeting } from './greeting.ts'
import { startHeadExport } from './head-export.ts'
import { listen } from './listen.ts'
import { withKeys } from './keys.ts'
import { createLog } from './log.ts'
import { tellSandbox } from './sandbox-report.ts'
import { createAdmission } from './overload.ts'
import { findPolicy } from './policy-file.ts'
import { openPolicy } from './policy-watch.ts'
import { loadProject, projectFolder } from './project.ts'
import { spareMemory } from './spare-memory.ts'
import { createRateLimits } from './rate-limits.ts'
import { versionOf } from './version.ts'
import { approvalUrls, webhookSender } from './webhook-sender.ts'

/** Connections to PostgreSQL, beside the one that listens. */
const POOL_SIZE = 10
/** Short enough that a wrong address is told within the five seconds that a person waits. */
const CONNECT_TIMEOUT_MS = 3_000
/** How long runs may go on after SIGTERM before they are handed over. */
const GRACE_MS = 5_000

export interface Server {
  url: string
  close(): Promise<void>
}

export interface ServerOptions {
  log: Log
  /** Else the database's, which all servers share: one whose own is wrong must not end what others wait for. */
  clock?: Clock
  /** Takes the lines that tell a person what is served where. */
  greet: (lines: string) => void
}

/** Opens everything, in order; what is open is closed again, in the other order, when something fails or at the end. */
export async function startServer(config: Config, { log, clock, greet }: ServerOptions): Promise<Server> {
  armFailpoints(config.failpoints)
  mendSubgraphResume()
  mendStoreBatches()
  deferRunTrees(process.env)
  const closers: (() => Promise<void> | void)[] = []
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    // First, because it leaves nothing behind: a graph that does not load is told before a database is made.
    const project = await loadProject(config.configFile, config)
    const { graphs } = project

    const policyFile = findPolicy(config.policyFile, projectFolder(config.configFile))
    const policy = await openPolicy(policyFile, {
      read: readPolicy,
      none: NO_RULES,
      log,
    })
    closers.push(policy.close)

    const dataDir = resolve(config.dataDir)
    const opened = await openStorage({
      ...config,
      clock,
      threadTtl: project.threadTtl,
      dataDir,
      poolSize: POOL_SIZE,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      redis: config.redisUrl === undefined ? undefined : { url: config.redisUrl, log },
    })
    closers.push(opened.close)
    const authority = await withKeys(project.authority, opened)
    closers.push(() => authority.close())
    checkReach(config, authority.authenticates)
    const cors = corsOf(config, { ...project, authority })
    const storage = { ...opened, store: withTtl(opened.store, project.storeTtl) }
    await storage.assistants.ensureSystem(project.served)
    await policy.follow((version) => storage.policyVersions.note(version, NO_RULES.version))

    const { model, close: closeModel } = await openModel(config)
    closers.push(closeModel)
    const workspaces = createWorkspaces(join(dataDir, 'workspaces'))
    const sandbox = chooseSandbox(config.sandbox, { workspaces, snapshots: join(dataDir, 'sandbox') })
    closers.push(() => sandbox.close())
    const sql = createSqlAccess(config.sql)
    closers.push(() => sql.close())
    const secrets = secretsOf(config.toolSecrets, process.env)
    const mcp = createMcpConnections(secrets)
    closers.push(() => mcp.close())
    const services = new Services()
      .with(MODEL, model)
      .with(WORKSPACES, workspaces)
      .with(SANDBOX, sandbox)
      .with(
        MAILER,
        config.smtpUrl === undefined ? outboxMailer(join(dataDir, 'outbox')) : smtpMailer(config.smtpUrl),
      )
      .with(POLICY, policy)
      .with(HTTP_ACCESS, { hosts: config.httpHosts, allowPrivate: config.httpPrivateHosts })
      .with(SQL_ACCESS, sql)
      .with(SECRETS, secrets)
      .with(MCP, mcp)
      .with(LANGCHAIN_CALLS, callFromLangChain)
      .with(CLOCK, clock ?? storage.now)

    const keys = webhookKeys(await secretOf({ ...config, dataDir }))
    const shapes = config.interop ? interop : untouched
    const admission = createAdmission(storage.queue, config)
    closers.push(() => admission.close())
    const closing = new AbortController()
    const app = createApp({
      ...storage,
      graphs,
      workspaces,
      checkEdit: checkEditBy(policy, services, (threadId) => storage.effects.untrustedIn(threadId)),
      interop: shapes,
      log,
      authority,
      http: project.http,
      custom: project.custom,
      admission,
      limits: createRateLimits(config.limits, { log }),
      empty: config.testMode
        ? async (what) => {
            await storage.truncate(what)
            await storage.assistants.ensureSystem(project.served)
          }
        : undefined,
      closing: closing.signal,
      version: versionOf(),
      langgraphVersion: versionOf('@langchain/langgraph'),
      cors,
      errors: config.errors,
      host: config.host,
      clock: clock ?? storage.now,
      publicUrl: config.publicUrl,
      endpointSecrets: endpointSecrets(storage.webhookEndpoints, keys),
    })
    const { url, own, close: stopListening } = await listen(app.fetch, config)
    closers.push(() => {
      closing.abort()
      return stopListening()
    })
    const heads = startHeadExport({ audit: storage.audit, log, dataDir })
    closers.push(() => heads.close())
    if (config.workers > 0) {
      void sandbox.begin().then((chosen) => tellSandbox(chosen, log))
      const worker = await startWorker(
        { ...storage, graphs, services, log, interop: shapes },
        { slots: config.workers, leaseMs: config.leaseMs },
      )
      closers.push(() => worker.close(GRACE_MS))
      const sweeper = startSweeper(
        { ...storage, workspaces },
        {
          clock: clock ?? storage.now,
          log,
          eventDays: config.eventDays,
        },
      )
      closers.push(() => sweeper.close())
      const scheduler = startScheduler({ ...storage, log, startOf: startOfCron })
      closers.push(() => scheduler.close())
      const reach = guardedAgent({
        hosts: [],
        allowPrivate: [...config.webhookHosts, ...(project.custom ? [new URL(own).host] : [])],
      })
      closers.push(() => reach.close())
      const webhooks = startWebhooks({
        ...storage,
        log,
        send: webhookSender(reach, own),
        keys,
        approvalUrl: config.publicUrl === undefined ? undefined : approvalUrls(config.publicUrl),
      })
      closers.push(() => webhooks.close())
    }
    const beyond = authority.authenticates ? [] : beyondOne(policy.current())
    if (beyond.length > 0)
      log.warn(
        'Without keys there is one person: what these rules hold can only be rejected or answered. Make keys: holdpoint keys create',
        { rules: beyond },
      )
    greet(
      greeting(url, {
        bundled: project.bundled,
        database: storage.description,
        events: config.redisUrl === undefined ? undefined : storage.fanOut,
        models: config.models,
        alone: !authority.authenticates,
        policy: policyFile && `${policy.current().rules.length} rules of ${policyFile}`,
        waiting: await storage.holds.countPending(),
      }),
    )
    return { url, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function run(options: Record<string, string>): Promise<void> {
  spareMemory()
  const log = createLog()
  const starting = startServer(loadConfig({ ...process.env, ...options }), {
    log,
    greet: (lines) => process.stdout.write(lines),
  })
  const stop = () => {
    // Asked twice, it goes at once: leases end by themselves, and another worker goes on.
    process.once('SIGTERM', () => process.exit(1))
    process.once('SIGINT', () => process.exit(1))
    starting
      .then((server) => server.close())
      .then(
        () => process.exit(0),
        (error: unknown) => {
          log.error('The server did not stop cleanly', { cause: String(error) })
          process.exit(1)
        },
      )
  }
  // Before it has started: whoever reads that it listens may ask it to stop in the same moment.
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  await starting
}

/**
 * A server for the life of this process. What keeps it from starting is one line, and exit code 1. The options are
 * settings by their names in the environment, and count more than what is there.
 */
export function main(options: Record<string, string> = {}): void {
  run(options).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  })
}

if (import.meta.main) main()
