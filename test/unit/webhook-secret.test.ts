import { expect, test } from 'vitest'
import {
  newWebhookSecret,
  openSecret,
  sealSecret,
  signatureOf,
  webhookKeys,
} from '../../runtime/webhook-secret.ts'
import { verified } from '../support/receiver.ts'

const KEYS = webhookKeys('of these tests, for these tests, by these')

function signed(secrets: string[], body: string) {
  const timestamp = Math.floor(Date.now() / 1_000)
  const headers = {
    'webhook-id': 'w1',
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signatureOf(secrets, { id: 'w1', timestamp, body }),
  }
  return { body, headers }
}

test('what is signed verifies by Standard Webhooks, with each of its secrets and no other', () => {
  const [mine, before, foreign] = [newWebhookSecret(), newWebhookSecret(), newWebhookSecret()]
  const sent = signed([mine, before], '{"type":"run.completed","data":{"name":"Zoë"}}')
  expect(verified(mine, sent)).toMatchObject({ data: { name: 'Zoë' } })
  expect(verified(before, sent)).toMatchObject({ type: 'run.completed' })
  expect(() => verified(foreign, sent)).toThrow('No matching signature')
  expect(verified(KEYS.ofRuns, signed([KEYS.ofRuns], '{}'))).toEqual({})
})

test.each(['body', 'webhook-id', 'webhook-timestamp'])(
  'what was signed with another %s does not verify',
  (part) => {
    const secret = newWebhookSecret()
    const sent = signed([secret], '{"amount":1}')
    if (part === 'body') sent.body = '{"amount":9}'
    if (part === 'webhook-id') sent.headers['webhook-id'] = 'w2'
    if (part === 'webhook-timestamp')
      sent.headers['webhook-timestamp'] = String(Number(sent.headers['webhook-timestamp']) + 1)
    expect(() => verified(secret, sent)).toThrow('No matching signature')
  },
)

test('a sealed secret opens for its endpoint and under its key alone, and never looks the same', () => {
  const secret = newWebhookSecret()
  const sealed = sealSecret(KEYS, 'e1', secret)
  expect(openSecret(KEYS, 'e1', sealed)).toBe(secret)
  expect(sealSecret(KEYS, 'e1', secret)).not.toBe(sealed)
  const flipped = Buffer.from(sealed, 'base64')
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1
  for (const open of [
    () => openSecret(KEYS, 'e2', sealed),
    () => openSecret(webhookKeys('another secret of 32 characters, or more'), 'e1', sealed),
    () => openSecret(KEYS, 'e1', flipped.toString('base64')),
    () => openSecret(KEYS, 'e1', ''),
  ])
    expect(open).toThrow('holdpoint webhooks rotate')
})
