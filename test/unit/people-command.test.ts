import { describe, expect, test } from 'vitest'
import { newApiKey, isSameHash, readApiKey, secretHash, textOf } from '../../runtime/api-key.ts'
import { readPeopleCommand } from '../../server/people-command.ts'

const read = (line: string) => readPeopleCommand(line.split(' '))

describe('what stands behind holdpoint', () => {
  test('is read', () => {
    expect(
      read('keys create --person ada --role senior --role approver --tenant acme --expires 90d'),
    ).toEqual({
      name: 'keys create',
      identity: 'ada',
      kind: 'person',
      roles: ['approver', 'senior'],
      tenant: 'acme',
      expiresInSeconds: 90 * 86_400,
    })
    expect(read('keys create --agent nightly --role operator')).toMatchObject({
      kind: 'agent',
      expiresInSeconds: undefined,
    })
    expect(read('keys revoke c21a013f9f3f1983')).toEqual({ name: 'keys revoke', keyId: 'c21a013f9f3f1983' })
    expect(read('people roles ada viewer operator')).toEqual({
      name: 'people roles',
      identity: 'ada',
      roles: ['viewer', 'operator'],
    })
    expect(read('people list')).toEqual({ name: 'people list' })
    expect(read('keys create --help')).toBeUndefined()
  })

  test.each([
    ['keys', /There is no keys$/],
    ['keys sell', /There is no keys sell/],
    ['keys create', /wants --person NAME, or --agent NAME/],
    ['keys create --person a --agent b', /wants --person NAME, or --agent NAME/],
    ['keys create --person local --role admin', /"local" is a name of the server's own/],
    ['keys create --person senior --role viewer', /"senior" is a name of the server's own/],
    ['keys create --person ada --role boss', /There is no role "boss": there are viewer, operator/],
    ['keys create --person ada --tenant *', /A tenant is/],
    ['keys create --person ada --expires soon', /--expires is such as 90d/],
    ['keys create --person ada --expires 0d', /--expires is such as 90d/],
    ['keys create --person ada --expires 9999d', /--expires is such as 90d/],
    ['keys create ada', /takes no "ada"/],
    ['keys list --tenant acme', /keys list takes no --tenant/],
    ['keys revoke', /wants the id of a key/],
    ['people disable', /wants a name/],
    ['people roles ada', /wants a name and roles/],
  ])('%s is refused with what to do', (line, words) => {
    expect(() => read(line)).toThrow(words)
  })
})

test('a key is read in its two parts, and nothing else is one', () => {
  const key = newApiKey()
  expect(readApiKey(textOf(key))).toEqual(key)
  expect(textOf(key)).toMatch(/^hp_[0-9a-f]{16}_[\w-]{43}$/)
  for (const other of [
    '',
    'hp_',
    textOf(key).slice(0, -1),
    `${textOf(key)}A`,
    textOf(key).toUpperCase(),
    ` ${textOf(key)}`,
  ])
    expect(readApiKey(other), other).toBeUndefined()
  expect(isSameHash(secretHash(key), secretHash(key))).toBe(true)
  expect(isSameHash(secretHash(key), secretHash(newApiKey()))).toBe(false)
  expect(isSameHash('', secretHash(key))).toBe(false)
})
