import { FILE_MARK, MAIL_MARK, QUOTE_MARK, type Masked } from './mask.ts'

/** What is to become of the result. */
export interface Delivery {
  mail?: {
    /** Empty where the task names nobody. */
    to: string[]
    cc: string[]
    subject?: string
    /** The task's own text, to be sent instead of a result. */
    text?: string
  }
  save?: { path: string; text?: string }
}

/** Finds where the result shall go; `rest` is the text without the words that said so. */
export function readDelivery(masked: Masked): Delivery & { rest: string } {
  const saved = readSave(masked, masked.text)
  const mailed = readMail(masked, saved.rest)
  return { save: saved.save, mail: mailed.mail, rest: mailed.rest }
}

const RESULT = String.raw`(?:it|them|this|that|these|those|me|us|everything|(?:both |all )?(?:the |a |an |its |their |those |these )?(?:\w+ ){0,2}?(?:results?|totals?|sums?|averages?|counts?|summary|tables?|reports?|numbers|figures|answers?|outcome|list|findings))`
const AND = String.raw`(?:[,.;]?\s*\b(?:and|then|also|please|afterwards|finally)\b)*[,;]?\s*`

function readMail(masked: Masked, text: string): { mail?: Delivery['mail']; rest: string } {
  const copied =
    /\b(?:cc|copy|copies|copying)\b:?\s*(?:in\s+|to\s+)?((?:‹m\d+›(?:\s*(?:,|and|&)\s*)?)+)/i.exec(text)
  const blind = /\bbcc\b:?\s*((?:‹m\d+›(?:\s*(?:,|and|&)\s*)?)+)/i.exec(text)
  const others = [copied, blind].reduce((left, match) => (match ? left.replace(match[0], ' ') : left), text)
  const to = masked.find(MAIL_MARK, others)
  const verb = /\b(?:e-?mail|mail|send|forward|notify)(?:ed|s)?\b/i
  const unaddressed = new RegExp(
    String.raw`(?:\b(?:and|then|also|now|please)\s+|^\s*)(?:e-?mail|mail|send|forward)\b(?!\s*‹)\s+${RESULT}\b`,
    'i',
  )
  if (!verb.test(text) || (to.length === 0 && !unaddressed.test(text))) return { rest: text }

  const quotes = (before: string) =>
    masked.find(
      QUOTE_MARK,
      new RegExp(String.raw`\b(?:${before})\b:?\s*(?:line |of |is |as )?‹q\d+›`, 'i').exec(text)?.[0] ?? '',
    )[0]
  const mail = {
    to: unique(to),
    cc: unique(masked.find(MAIL_MARK, copied?.[1] ?? '')),
    subject: quotes('subject(?: line)?|titled|title'),
    text: quotes('saying|says|body|message|text|words|content') ?? quotes('e-?mail|mail|send'),
  }
  return { mail, rest: withoutMail(others) }
}

function withoutMail(text: string): string {
  const to = String.raw`(?:(?:over |back |off )?(?:to |for )?(?:‹m\d+›(?:\s*(?:,|and|&)\s*)?)+)`
  const verb = String.raw`\b(?:e-?mail|mail|send|forward|notify)(?:ed|s)?\b`
  const gone = ' ; '
  return text
    .replace(
      /,?\s*\b(?:with|under|using)?\s*(?:the |a )?(?:subject(?: line)?|titled|title|saying|says|body|message|text)\b:?\s*(?:line |of |is |as )?‹q\d+›/gi,
      ' ',
    )
    .replace(
      new RegExp(
        String.raw`${AND}${verb}\s+${RESULT}\s+(?:(?:by|as|in|via) (?:an? )?e?-?mail\s+)?${to}`,
        'gi',
      ),
      gone,
    )
    .replace(
      new RegExp(String.raw`${AND}${verb}\s+${to}\s*(?:with\s+)?${RESULT}(?=\s*(?:[.;,!]|$|and\b|‹))`, 'gi'),
      gone,
    )
    .replace(new RegExp(String.raw`${AND}${verb}\s+(?:an? )?(?:e-?mail\s+)?${to}(?:\s*with\b)?`, 'gi'), gone)
    .replace(new RegExp(String.raw`${AND}${verb}\s+(?:‹q\d+›\s+)?(?:an? e?-?mail\s+)?${to}`, 'gi'), gone)
    .replace(new RegExp(String.raw`${AND}${verb}\s+${RESULT}\s*(?=[.;,!]|$|and\b)`, 'gi'), gone)
    .replace(new RegExp(to, 'gi'), gone)
    .replace(/^\s*(?:please\s+)?(?:e-?mail|mail|send|forward)\b(?!\s+address)/i, ' ')
}

function readSave(masked: Masked, text: string): { save?: Delivery['save']; rest: string } {
  const verb = String.raw`\b(?:write|save|store|put|export|dump|output)(?:d|s)?\b`
  const into = String.raw`(?:to|into|as|in|under|called|named)\s+(?:(?:a|an|the|new|text|csv|file|called|named)\s+)*`
  const plain = new RegExp(String.raw`${AND}${verb}(?:\s+(?:${RESULT}|‹q\d+›))?\s+${into}(‹f\d+›)`, 'i').exec(
    text,
  )
  // "write the total by customer in orders.csv to totals.txt": the file after `to` is the one to write.
  const around = new RegExp(
    String.raw`${verb}(?=.*\b(?:to|into|as)\s+(?:(?:a|the|new|text|file)\s+)*(‹f\d+›))`,
    'i',
  ).exec(text)
  const target = plain?.[1] ?? around?.[1]
  const path = target === undefined ? undefined : masked.find(FILE_MARK, target)[0]
  if (target === undefined || path === undefined) return { rest: text }
  const literal = masked.find(QUOTE_MARK, plain?.[0] ?? '')[0]
  const rest = plain
    ? text.replace(plain[0], ' ; ')
    : text
        .replace(new RegExp(String.raw`\b(?:to|into|as)\s+(?:(?:a|the|new|text|file)\s+)*${target}`), ' ; ')
        .replace(new RegExp(verb, 'i'), ' ')
  return { save: { path, text: literal }, rest }
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)]
}
