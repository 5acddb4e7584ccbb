import { describe, expect, test } from 'vitest'
import { type DecisionLink, linkKey, readToken, writeToken } from '../../runtime/decision-link.ts'
import { newId } from '../../runtime/ids.ts'
import { readLinkCommand } from '../../server/link-command.ts'

const ID = newId()
const read = (line: string) => readLinkCommand(line.split(' '))

describe('what stands behind holdpoint approvals', () => {
  test('is read', () => {
    expect(read(`approvals link ${ID} --for ada --decision reject --expires 2h`)).toEqual({
      approvalId: ID,
      identity: 'ada',
      decision: 'reject',
      expiresInSeconds: 7_200,
    })
    expect(read(`approvals link ${ID} --for ada`)).toMatchObject({ decision: undefined })
    expect(read('approvals --help')).toBeUndefined()
  })

  test.each([
    ['approvals', /approvals link APPROVAL --for NAME/],
    ['approvals list', /approvals link APPROVAL --for NAME/],
    [`approvals link ${ID} ${ID} --for ada`, /approvals link APPROVAL --for NAME/],
    ['approvals link x --for ada', /which is a UUID/],
    [`approvals link ${ID}`, /wants --for NAME/],
    [`approvals link ${ID} --for ada --expires 25h`, /24h at most/],
    [`approvals link ${ID} --for ada --expires soon`, /--expires is such as/],
    [`approvals link ${ID} --for ada --decision edit`, /approve or reject/],
    [`approvals link ${ID} --for ada --endpoint x`, /--endpoint wants the id of an endpoint/],
  ])('%s is refused with what to do', (line, words) => {
    expect(() => read(line)).toThrow(words)
  })
})

test('a token says whose word on what it is, to those who have the secret, in one spelling alone', () => {
  const link: DecisionLink = {
    link_id: newId(),
    approval_id: ID,
    identity: 'ådä @ example',
    decision: 'approve',
    endpoint_id: null,
    expires_at: new Date().toISOString(),
  }
  const key = linkKey('a secret of thirty-two characters or more')
  const token = writeToken(key, link)
  expect(token).toMatch(/^[\w-]+\.[\w-]{43}$/)
  expect(readToken(key, token)).toEqual(link)
  expect(readToken(linkKey('another secret of thirty-two characters'), token)).toBeUndefined()
  for (const other of ['', '.', `${token}=`, ` ${token}`, `${token}.`, token.toUpperCase(), `${token}\n`])
    expect(readToken(key, other), other).toBeUndefined()
  // What a later version would write is no link of this one.
  expect(readToken(key, writeToken(key, { ...link, more: 1 } as DecisionLink))).toBeUndefined()
})
