import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base, expect } from 'vitest'
import { MAILER, outboxMailer, smtpMailer } from '../../../tools/mailer.ts'
import { sendEmail } from '../../../tools/send-email.ts'
import { callWith, ranBy } from './call-context.ts'

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
  expect(await ranBy(sendEmail, args, call)).toEqual({
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
  const sending = { key: KEY, attempt: 'a' }
  const first = await mailer.send(MAIL, sending)
  const again = await Promise.all([1, 2, 3].map((n) => mailer.send({ ...MAIL, text: `other ${n}` }, sending)))
  expect(again).toEqual([first, first, first])
  expect(await mails(directory)).toEqual([`${KEY}.eml`])
  expect(await readFile(join(directory, `${KEY}.eml`), 'utf8')).toContain('Guten Tag')

  const race = await Promise.all(
    [1, 2, 3].map((n) => mailer.send({ ...MAIL, text: `race ${n}` }, { key: 'key-2', attempt: `a${n}` })),
  )
  expect(new Set(race.map(({ path }) => path)).size).toBe(1)
  expect(await mails(directory)).toHaveLength(2)
})

test('a mail that went out is found by the probe, also when only its place among the claims was written', async ({
  directory,
}) => {
  const mailer = outboxMailer(directory)
  const sent = await mailer.send(MAIL, { key: KEY, attempt: 'first' })
  expect(await mailer.probe({ key: KEY, attempt: 'second' })).toEqual(sent)
  await rm(join(directory, `${KEY}.eml`))
  expect(await mailer.probe({ key: KEY, attempt: 'third' })).toEqual(sent)
  expect(await mails(directory)).toEqual([`${KEY}.eml`])
})

test('once a probe has said never, the earlier execution cannot send, and the one that probed can', async ({
  directory,
}) => {
  const mailer = outboxMailer(directory)
  expect(await mailer.probe({ key: KEY, attempt: 'second' })).toBe('never')
  await expect(mailer.send(MAIL, { key: KEY, attempt: 'first' })).rejects.toThrow('taken this mail over')
  expect(await mails(directory)).toEqual([])
  // A third one finds the second gone, and takes over from it in turn.
  expect(await mailer.probe({ key: KEY, attempt: 'third' })).toBe('never')
  await expect(mailer.send(MAIL, { key: KEY, attempt: 'second' })).rejects.toThrow('taken this mail over')
  await mailer.send(MAIL, { key: KEY, attempt: 'third' })
  expect(await mails(directory)).toEqual([`${KEY}.eml`])
})

test('of a sender and a prober at the same moment, exactly one gets its way', async ({ directory }) => {
  const mailer = outboxMailer(directory)
  for (let round = 0; round < 40; round++) {
    const key = `race-${round}`
    const [sent, probed] = await Promise.allSettled([
      mailer.send(MAIL, { key, attempt: 'first' }),
      mailer.probe({ key, attempt: 'second' }),
    ])
    if (probed.status !== 'fulfilled') throw probed.reason
    expect(sent.status === 'fulfilled').toBe(probed.value !== 'never')
  }
})

const mails = (directory: string) => readdir(directory).catch(() => [])

test('a key that is no file name cannot leave the outbox', async ({ directory }) => {
  const { path, message_id } = await outboxMailer(directory).send(MAIL, {
    key: '../../x\r\nBcc: evil@example.com',
    attempt: 'a',
  })
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
    expect(await mailer.send({ ...MAIL, cc: ['b@example.com'] }, { key: KEY, attempt: 'a' })).toEqual({
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
