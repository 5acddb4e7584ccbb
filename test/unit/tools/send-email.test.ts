import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base, expect } from 'vitest'
import { MAILER, outboxMailer, smtpMailer } from '../../../tools/mailer.ts'
import { sendEmail } from '../../../tools/send-email.ts'
import { callWith } from './call-context.ts'

const KEY = '0d9b1f0e-6c1e-5b6e-8f59-6f1d0a2b3c4d'
const MAIL = { to: ['a@example.com'], cc: [], subject: 'Hällo', text: 'Guten Tag' }

const test = base.extend<{ directory: string }>({
  directory: async ({}, use) => {
    const root = await mkdtemp(join(tmpdir(), 'mail-'))
    await use(join(root, 'outbox'))
    await rm(root, { recursive: true })
  },
})

test('a mail becomes one file, with a Message-ID that follows from the key', async ({ directory }) => {
  const call = callWith(MAILER, outboxMailer(directory))
  const args = {
    to: ['a@example.com', 'b@example.com'],
    cc: 'c@example.com',
    subject: 'Q1: done',
    body: 'Hello\n.\nBye',
  }
  expect(await sendEmail.run(args, call)).toEqual({
    message_id: `<${KEY}@holdpoint.local>`,
    path: `outbox/${KEY}.eml`,
  })
  const text = await readFile(join(directory, `${KEY}.eml`), 'utf8')
  expect(text).toContain(`Message-ID: <${KEY}@holdpoint.local>`)
  expect(text).toMatch(/^To: a@example\.com, b@example\.com\r\nCc: c@example\.com\r\nSubject: Q1: done/m)
  expect(text).toContain('\r\n\r\nHello\r\n.\r\nBye')
})

test('the same key is sent once, also when it is sent twice at the same time', async ({ directory }) => {
  const mailer = outboxMailer(directory)
  const first = await mailer.send(MAIL, KEY)
  const again = await Promise.all([1, 2, 3].map((n) => mailer.send({ ...MAIL, text: `other ${n}` }, KEY)))
  expect(again).toEqual([first, first, first])
  expect(await readdir(directory)).toEqual([`${KEY}.eml`])
  expect(await readFile(join(directory, `${KEY}.eml`), 'utf8')).toContain('Guten Tag')

  const race = await Promise.all([1, 2, 3].map((n) => mailer.send({ ...MAIL, text: `race ${n}` }, 'key-2')))
  expect(new Set(race.map(({ path }) => path)).size).toBe(1)
  expect(await readdir(directory)).toHaveLength(2)
})

test('a key that is no file name cannot leave the outbox', async ({ directory }) => {
  const { path, message_id } = await outboxMailer(directory).send(MAIL, '../../x\r\nBcc: evil@example.com')
  expect(path).toMatch(/^outbox\/[0-9a-f]{64}\.eml$/)
  expect(message_id).toMatch(/^<[0-9a-f]{64}@holdpoint\.local>$/)
})

test.for([
  { to: 'a@example.com\r\nBcc: evil@example.com' },
  { to: 'a@example.com, b@example.com' },
  { to: 'Name <a@example.com>' },
  { to: '"a\\"@x"@example.com' },
  { to: [] },
  { to: Array.from({ length: 21 }, (_, n) => `a${n}@example.com`) },
  { to: `${'a'.repeat(250)}@example.com` },
  { cc: 'a@example.com\nx' },
  { subject: 'a\r\nBcc: evil@example.com' },
  { subject: 'a\u2028b' },
  { subject: '' },
  { subject: 'x'.repeat(201) },
  { body: '' },
  { body: 'x'.repeat(50_001) },
  { bcc: 'a@example.com' },
])('bad arguments, number %$, do not parse', (bad) => {
  const good = { to: 'a@example.com', subject: 's', body: 'b' }
  expect(sendEmail.schema.safeParse(good).success).toBe(true)
  expect(sendEmail.schema.safeParse({ ...good, ...bad }).success).toBe(false)
})

test('an SMTP server gets the recipients and the Message-ID', async () => {
  const said: string[] = []
  const server = createServer((socket) => talk(socket, said))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const mailer = smtpMailer(`smtp://127.0.0.1:${(server.address() as AddressInfo).port}`, {
      from: 'me@example.com',
    })
    expect(await mailer.send({ ...MAIL, cc: ['b@example.com'] }, KEY)).toEqual({
      message_id: `<${KEY}@holdpoint.local>`,
    })
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
  const text = said.join('')
  expect(text).toContain('MAIL FROM:<me@example.com>')
  expect(text).toMatch(/RCPT TO:<a@example\.com>[^]*RCPT TO:<b@example\.com>/)
  expect(text).toContain(`Message-ID: <${KEY}@holdpoint.local>`)
})

/** As much of RFC 5321 as a sender needs. */
function talk(socket: Socket, said: string[]): void {
  let data = false
  socket.write('220 test\r\n')
  socket.on('data', (chunk) => {
    const text = chunk.toString()
    said.push(text)
    if (data && !text.endsWith('\r\n.\r\n')) return
    if (text.startsWith('QUIT')) return void socket.end('221 bye\r\n')
    if (text.startsWith('DATA')) socket.write('354 go on\r\n')
    else socket.write('250 ok\r\n')
    data = text.startsWith('DATA')
  })
}
