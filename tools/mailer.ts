import { createHash, randomUUID } from 'node:crypto'
import { link, mkdir, open, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { createTransport } from 'nodemailer'
import MailComposer from 'nodemailer/lib/mail-composer'
import { serviceKey } from '../runtime/services.ts'

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

/** Sends mail. The same key is the same mail: its Message-ID follows from the key. */
export interface Mailer {
  send(mail: Mail, idempotencyKey: string): Promise<SentMail>
}

export const MAILER = serviceKey<Mailer>('mailer')

const FROM = 'Holdpoint <agent@holdpoint.local>'
const SMTP_MS = 10_000

/** Writes each mail to a file of its own, `<key>.eml`. A key that was sent is not sent again. */
export function outboxMailer(directory: string, { from = FROM } = {}): Mailer {
  return {
    async send(mail, idempotencyKey) {
      const file = `${nameOf(idempotencyKey)}.eml`
      const message = await new MailComposer(fieldsOf(mail, from, idempotencyKey)).compile().build()
      await mkdir(directory, { recursive: true, mode: 0o700 })
      await publish(directory, file, message)
      return { message_id: messageId(idempotencyKey), path: `${basename(directory)}/${file}` }
    },
  }
}

/** Sends through an SMTP server, `smtp://user:password@host:port` or `smtps:`. A second send of a key is a second mail. */
export function smtpMailer(url: string, { from = FROM } = {}): Mailer {
  const timeouts = { connectionTimeout: SMTP_MS, greetingTimeout: SMTP_MS, socketTimeout: SMTP_MS }
  const transport = createTransport({ url, ...timeouts })
  return {
    async send(mail, idempotencyKey) {
      await transport.sendMail(fieldsOf(mail, from, idempotencyKey))
      return { message_id: messageId(idempotencyKey) }
    },
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

/** A link appears with all its bytes, and only if no file has the name. */
async function publish(directory: string, file: string, bytes: Buffer): Promise<void> {
  const temp = join(directory, `.${randomUUID()}.tmp`)
  try {
    const handle = await open(temp, 'wx', 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await link(temp, join(directory, file))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    await rm(temp, { force: true })
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
