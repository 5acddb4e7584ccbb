import { Auth, HTTPException } from '@langchain/langgraph-sdk/auth'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { createAuthority } from '../../../server/auth.ts'
import { mount } from '../../../server/endpoint.ts'
import { createLog } from '../../../server/log.ts'
import { onError } from '../../../server/errors.ts'
import { storeRoutes } from '../../../server/routes/store.ts'
import { createStoreItems } from '../../../storage/store.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { useStorage } from '../../support/storage.ts'

/** Everybody has a place of their own below their name; Mallory may not write. */
const auth = new Auth()
  .authenticate((request) => request.headers.get('x-user') ?? '')
  .on('store', ({ value, user }) => {
    value.namespace = [user.identity, ...(value.namespace ?? [])]
  })
  .on('store:put', ({ value, user }) => {
    if (user.identity.startsWith('mallory')) throw new HTTPException(403, { message: 'Read only.' })
    value.namespace = [user.identity, ...value.namespace]
  })

onEachDatabase((database) => {
  const storage = useStorage(database)

  function callerOf(user: string) {
    const app = new Hono()
    app.onError(
      onError(
        createLog(() => {}),
        'text',
      ),
    )
    mount(app, storeRoutes({ store: createStoreItems(storage.mine.db) }), {
      authority: createAuthority(auth, { studio: false }),
      graphHeaders: () => ({}),
      threads: storage.mine.threads,
      limits: { letIn() {} },
    })
    return async (method: string, path: string, body?: object) => {
      const answer = await app.request(path, {
        method,
        headers: { 'x-user': user, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: answer.status, text: await answer.text() }
    }
  }

  test('the handlers of a project set the namespace that each caller reads and writes', async () => {
    const [ada, eve] = [`ada-${newId()}`, `eve-${newId()}`]
    const item = { namespace: ['notes'], key: 'k', value: { by: ada } }
    expect((await callerOf(ada)('PUT', '/store/items', item)).status).toBe(204)
    const path = '/store/items?namespace=notes&key=k'
    expect(JSON.parse((await callerOf(ada)('GET', path)).text)).toMatchObject({ namespace: [ada, 'notes'] })
    expect((await callerOf(eve)('GET', path)).text).toBe('null')
    for (const [user, count] of [
      [ada, 1],
      [eve, 0],
    ] as const) {
      const found = await callerOf(user)('POST', '/store/items/search', {})
      expect(JSON.parse(found.text)).toMatchObject({ items: { length: count } })
      const listed = await callerOf(user)('POST', '/store/namespaces', {})
      expect(JSON.parse(listed.text)).toMatchObject({ namespaces: { length: count } })
    }
    await callerOf(eve)('DELETE', '/store/items', { namespace: ['notes'], key: 'k' })
    expect((await callerOf(ada)('GET', path)).text).not.toBe('null')
    await callerOf(ada)('DELETE', '/store/items', { namespace: ['notes'], key: 'k' })
    expect((await callerOf(ada)('GET', path)).text).toBe('null')
  })

  test('what a handler refuses is not written, and strangers are told nothing', async () => {
    const item = { namespace: ['notes'], key: 'k', value: {} }
    expect(await callerOf('mallory')('PUT', '/store/items', item)).toEqual({
      status: 403,
      text: 'Read only.',
    })
    expect((await callerOf('')('PUT', '/store/items', { namespace: 7 })).status).toBe(401)
  })
})
