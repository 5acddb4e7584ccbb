import { randomBytes } from 'node:crypto'
import { type Cluster, execute, startCluster } from './postgres.ts'

/** The PostgreSQL database that the servers of one run share. */
export interface ChaosDatabase {
  url: string
  host: string
  port: number
  name: string
  user: string
  password: string
  description: string
  /** Absent where the server is somebody else's: it is not restarted then. */
  cluster: Cluster | undefined
  close(keep: boolean): Promise<void>
}

/** A cluster of its own where it can be made, else a new database on the server at `given`. */
export async function openChaosDatabase(
  directory: string,
  given: string | undefined,
): Promise<ChaosDatabase> {
  const cluster = await startCluster(directory)
  if (cluster !== undefined) return describe(cluster.url, cluster.description, cluster, () => cluster.close())
  if (given === undefined) {
    throw new Error(
      'There is no PostgreSQL: install it, set DATABASE_URL to one that lets databases be made, or use --embedded.',
    )
  }
  const name = `holdpoint_chaos_${randomBytes(4).toString('hex')}`
  await execute(given, `create database ${name}`)
  const url = new URL(given)
  url.pathname = `/${name}`
  return describe(url.href, `a database of its own on ${url.host}`, undefined, async (keep) => {
    if (!keep) await execute(given, `drop database ${name} with (force)`)
  })
}

function describe(
  href: string,
  description: string,
  cluster: Cluster | undefined,
  close: (keep: boolean) => Promise<void>,
): ChaosDatabase {
  const { hostname, port, pathname, username, password } = new URL(href)
  return {
    url: href,
    host: hostname,
    port: Number(port || 5432),
    name: pathname.slice(1),
    user: username,
    password,
    description,
    cluster,
    close,
  }
}
