import { Auth, HTTPException } from '@langchain/langgraph-sdk/auth'

/** Everybody sees their own; `admin` sees all; `reader` may start nothing, `starter` only that; a team's threads are its members'. */
export const auth = new Auth()
  .authenticate((request: Request) => {
    const [, name] = /^Bearer (\w+)$/.exec(request.headers.get('authorization') ?? '') ?? []
    if (name === undefined)
      throw new HTTPException(401, { message: 'Who are you?', headers: { 'www-authenticate': 'Bearer' } })
    return { identity: name, permissions: name === 'admin' ? ['all'] : [], team: 'blue' }
  })
  .on('threads:create_run', ({ value, user }) => {
    if (user.identity === 'reader') throw new HTTPException(403, { message: 'Readers start nothing.' })
    value.metadata = { ...value.metadata, owner: user.identity }
    return user.permissions.includes('all') ? true : { owner: user.identity }
  })
  .on('threads:create', ({ value, user }) => {
    const { sealed: _, ...metadata } = value.metadata ?? {}
    value.metadata = { ...metadata, owner: user.identity }
    return { owner: { $eq: user.identity } }
  })
  .on('threads:update', ({ user }) => {
    if (user.identity === 'starter') return false
    return user.permissions.includes('all') ? true : { owner: user.identity }
  })
  .on('threads', ({ user }) => (user.permissions.includes('all') ? undefined : { owner: user.identity }))
  .on('crons:create', ({ value, user }) => {
    Object.assign(value, { metadata: { owner: user.identity } })
    if (value.schedule === '0 0 * * *') {
      value.schedule = '5 0 * * *'
      value.payload = { ...value.payload, context: { planned: value.user_id } }
    }
    if (value.schedule === '* * * * *') throw new HTTPException(403, { message: 'Not so often.' })
    return { owner: user.identity }
  })
  .on('crons', ({ user }) => (user.permissions.includes('all') ? undefined : { owner: user.identity }))
  .on('assistants:create', ({ value, user }) => {
    value.metadata = { ...value.metadata, members: [user.identity, 'boss'] }
  })
  .on('assistants:delete', () => false)
  // Items have no metadata to filter by: everybody's stand below their name.
  .on('store', ({ value, user }) => {
    value.namespace = [user.identity, ...(value.namespace ?? [])]
  })
  .on('*:read', ({ user }) => ({ members: { $contains: user.identity } }))
  .on('*', ({ user }) => ({ members: { $contains: user.identity } }))
