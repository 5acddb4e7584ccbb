import { Auth, HTTPException } from '@langchain/langgraph-sdk/auth'

/** `Bearer name/tenant/one,two`: who somebody is, of which tenant, with which roles; the last two may be left out. */
export const auth = new Auth()
  .authenticate((request: Request) => {
    const [, said] = /^Bearer (\S+)$/.exec(request.headers.get('authorization') ?? '') ?? []
    if (said === undefined) throw new HTTPException(401, { message: 'Who are you?' })
    const [name = '', tenant, roles] = said.split('/')
    const listed = roles?.split(',') ?? []
    return {
      identity: name,
      permissions: listed.filter((role) => role !== 'senior').map((role) => `holdpoint:${role}`),
      ...(roles === undefined ? {} : { roles: listed.filter((role) => role === 'senior') }),
      ...(tenant === undefined || tenant === '' ? {} : { tenant }),
      ...(name === 'robot' ? { kind: 'agent' } : {}),
    }
  })
  .on('threads:delete', ({ user }) => user.identity !== 'nora')
