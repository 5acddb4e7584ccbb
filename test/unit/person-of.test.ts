import { expect, test } from 'vitest'
import { personOf } from '../../server/auth.ts'

const user = (more: object) => ({
  identity: 'ada',
  display_name: 'ada',
  permissions: [],
  is_authenticated: true,
  ...more,
})

test.each([
  [{}, { tenant: 'default', roles: ['viewer', 'operator', 'approver', 'admin'] }],
  [{ roles: [] }, { roles: [] }],
  [{ roles: ['member'] }, { roles: [] }],
  [{ roles: '' }, { roles: [] }],
  [{ permissions: ['holdpoint:read'] }, { roles: [] }],
  [{ permissions: ['holdpoint:approver'], roles: [] }, { roles: ['approver'] }],
  [
    { roles: 'viewer', tenant: 7 },
    { tenant: '7', roles: ['viewer'] },
  ],
  [{ permissions: ['holdpoint:approver', 'threads'], roles: ['senior'] }, { roles: ['approver', 'senior'] }],
  [
    { permissions: ['approver'], roles: null, tenant: null },
    { tenant: 'default', roles: ['viewer', 'operator', 'approver', 'admin'] },
  ],
  [
    { kind: 'agent', tenant: 'acme' },
    { kind: 'agent', tenant: 'acme' },
  ],
])('what a project says of somebody: %j', (more, expected) => {
  expect(personOf(user(more))).toMatchObject({ identity: 'ada', alone: false, ...expected })
})

test.each([{ tenant: '*' }, { tenant: '' }, { tenant: {} }, { roles: { viewer: true } }, { roles: [1] }])(
  'what could be taken for more than it is, is refused: %j',
  (more) => {
    expect(() => personOf(user(more))).toThrow(/tenant that is no text, or roles/)
  },
)
