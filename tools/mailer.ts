import { createHash } from 'node:crypto'
import { link, mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { createTransport } from 'nodemailer'
import MailComposer from 'nodemailer/lib/mail-composer'
import { failpoint } from '../runtime/failpoint.ts'
import { serviceKey } from '../runtime/services.ts'
import { isExists, outboxClaims } from './outbox-claims.ts'

export interface Mail {
  to: string[]
  cc: string[]
  subject: string
  /** Plain text. */
  text: string
}

export interface SentMail {
  message_id: string
  /** Of the file, where the mail became one. */
  path?: string
}

/** One of perhaps several executions of one sending. */
export interface Sending {
  /** The same for every execution: the same key is the same mail. Its Message-ID follows from it. */
  key: string
  /** Another one for each execution. */
  attempt: string
}

export interface Mailer {
  /** The address that mails are sent from. */
  readonly from: string
  send(mail: Mail, sending: Sending): Promise<SentMail>
  /** Whether the mail went out; `never` keeps every other execution from sending it from now on. */
  probe(sending: Sending): Promise<SentMail | 'never' | 'unknown'>
}

export const MAILER = serviceKey<Mailer>('mailer')

const FROM = 'Holdpoint <agent@holdpoint.local>'
const SMTP_MS = 10_000

/** Writes each mail to a file of its own, `KEY.eml`. A key that was sent is not sent again. */
export function outboxMailer(directory: string, { from = FROM } = {}): Mailer {
  const claims = outboxClaims(`${directory}.claims`)
  // The mail is out when it has its place among the claims; the file that people look for is a second name of it.
  const show = async (path: string, key: string): Promise<SentMail> => {
    const file = `${nameOf(key)}.eml`
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await link(path, join(directory, file)).catch((error: unknown) => {
      if (!isExists(error)) throw error
    })
    return { message_id: messageId(key), path: `${basename(directory)}/${file}` }
  }
  return {
    from,
    async send(mail, { key, attempt }) {
      const message = await new MailComposer(fieldsOf(mail, from, key)).compile().build()
      await failpoint('outbox.publish:before')
      const path = await claims.write(nameOf(key), attempt, message)
      await failpoint('outbox.publish:after')
      return await show(path, key)
    },
    async probe({ key, attempt }) {
      const path = await claims.claim(nameOf(key), attempt)
      return path === undefined ? 'never' : await show(path, key)
    },
  }
}

/** Sends through an SMTP server, `smtp://user:password@host:port` or `smtps:`. A second send of a key is a second mail. */
export function smtpMailer(url: string, { from = FROM } = {}): Mailer {
  const timeouts = { connectionTimeout: SMTP_MS, greetingTimeout: SMTP_MS, socketTimeout: SMTP_MS }
  const transport = createTransport({ url, ...timeouts })
  return {
    from,
    async send(mail, { key }) {
      await transport.sendMail(fieldsOf(mail, from, key))
      return { message_id: messageId(key) }
    },
    // SMTP cannot be asked what became of a mail.
    probe: () => Promise.resolve('unknown'),
  }
}

function fieldsOf(mail: Mail, from: string, idempotencyKey: string) {
  const addresses = (list: string[]) => list.map((address) => ({ name: '', address }))
  return {
    from,
    to: addresses(mail.to),
    cc: addresses(mail.cc),
    subject: mail.subject,
    text: mail.text,
    messageId: messageId(idempotencyKey),
    newline: 'win',
    disableFileAccess: true,
    disableUrlAccess: true,
  }
}

function messageId(idempotencyKey: string): string {
  return `<${nameOf(idempotencyKey)}@holdpoint.local>`
}

/** Keys are UUIDs (runtime/call.ts); any other becomes a hash, which is as safe in a file name and a header. */
function nameOf(idempotencyKey: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,63}$/.test(idempotencyKey)) return idempotencyKey
  return createHash('sha256').update(idempotencyKey).digest('hex')
}
