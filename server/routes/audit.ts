import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import type { Audit, AuditEntry as RuntimeEntry, AuditFilter, AuditPlace } from '../../runtime/audit.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json } from '../reply.ts'
import { AuditEntry, AuditList } from '../schemas/audit.ts'

const PAGE = 500
const MAX_PAGE = 1_000
const DEFAULT_PAGE = 100

export interface AuditPorts {
  audit: Audit
}

export function auditRoutes({ audit }: AuditPorts): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/audit',
      tag: 'Audit',
      access: 'threads:search',
      summary:
        'The record of approvals and effects, newest first. With Accept: application/x-ndjson all of it, a line for each entry',
      query: AuditList,
      answers: {
        200: {
          description: 'A page of entries; X-Pagination-Next is the cursor of the next one',
          schema: z.array(AuditEntry),
        },
        422: { description: 'A filter that is none' },
      },
      async handle(c, { query }, { caller, allowed }) {
        const { limit, cursor, since, until, ...rest } = query
        const filter: Omit<AuditFilter, 'limit'> = {
          ...(given(rest) as Omit<AuditFilter, 'limit'>),
          ...(since === undefined ? {} : { since: new Date(since).toISOString() }),
          ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
          ...(cursor === undefined ? {} : { after: placeOf(cursor) }),
          // With authentication only what belongs to a thread that the caller may find.
          ...(caller.user === undefined ? {} : { allowed }),
          ...(caller.user?.permissions.includes('holdpoint:admin') === true
            ? { administrationOf: caller.person.tenant }
            : {}),
        }
        if (c.req.header('accept')?.includes('application/x-ndjson') === true) {
          caller.needs('admin')
          return await exported(c, audit, filter, limit)
        }
        if (limit !== undefined && limit > MAX_PAGE)
          throw new HTTPException(422, {
            message: `query.limit: at most ${MAX_PAGE}; for more send Accept: application/x-ndjson`,
          })
        const size = limit ?? DEFAULT_PAGE
        // One more tells whether there is a next page.
        const found = await audit.search({ ...filter, limit: size + 1 })
        const page = found.slice(0, size)
        const last = page.at(-1)
        if (found.length > size && last !== undefined) c.header('X-Pagination-Next', cursorOf(last))
        return json(c, page)
      },
    }),
  ]
}

/** Page by page, as the reader takes them. */
async function exported(
  c: Context,
  audit: Audit,
  filter: Omit<AuditFilter, 'limit'>,
  limit = Infinity,
): Promise<Response> {
  let left = limit
  let { after } = filter
  const next = async () => {
    const page = await audit.search({
      ...filter,
      limit: Math.min(PAGE, left),
      ...(after === undefined ? {} : { after }),
    })
    left -= page.length
    after = page.at(-1)
    return page
  }
  // What cannot be asked for is an error with its status, and no stream that breaks off.
  let page = await next()
  const encoder = new TextEncoder()
  const lines = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (page.length > 0)
          controller.enqueue(encoder.encode(page.map((entry) => `${JSON.stringify(entry)}\n`).join('')))
        const isLast = page.length < PAGE || left <= 0
        if (isLast) controller.close()
        else page = await next()
      },
    },
    { highWaterMark: 0 },
  )
  return c.body(lines, 200, { 'Content-Type': 'application/x-ndjson' })
}

const Place = z.tuple([z.iso.datetime(), z.string().regex(/^[a-z]+(:[0-9a-f-]+)?$/), z.number().int().min(0)])

function cursorOf({ at, chain, seq }: RuntimeEntry): string {
  return Buffer.from(JSON.stringify([at, chain, seq])).toString('base64url')
}

function placeOf(cursor: string): AuditPlace {
  try {
    const [at, chain, seq] = Place.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')))
    return { at, chain, seq }
  } catch (cause) {
    throw new HTTPException(422, {
      message: 'query.cursor: must be the X-Pagination-Next of an earlier answer',
      cause,
    })
  }
}

function given<T extends object>(values: T): { [Key in keyof T]?: NonNullable<T[Key]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}
