import { Hono } from 'hono'

/** Routes of a project's own, and middleware that sees ours. */
const told: unknown[] = []

export const app = new Hono()
  .use('*', async (c, next) => {
    // What it changes in the body is what our routes read.
    if (c.req.method === 'POST' && c.req.path.endsWith('/runs/wait')) {
      const body = await c.req.json<{ config?: { configurable?: object } } | null>()
      const configurable = { ...body?.config?.configurable, tone: 'calm' }
      c.req.bodyCache.json = Promise.resolve({ ...body, config: { ...body?.config, configurable } })
    }
    await next()
    c.header('x-served-by', 'shop')
  })
  .get('/shop/hello', (c) => c.json({ hello: 'world' }))
  .post('/shop/told', async (c) => {
    told.push(await c.req.json())
    return c.body(null, 204)
  })
  .get('/shop/told', (c) => c.json(told))
