export interface ReadMail {
  to: string[]
  cc: string[]
  subject: string
  body: string
}

/** Reads a plain-text mail: folded headers, encoded words (RFC 2047), quoted-printable and base64. */
export function readMail(bytes: Buffer): ReadMail {
  const text = bytes.toString('latin1')
  const end = /\r?\n\r?\n/.exec(text)
  if (end === null) throw new Error('The mail has no body.')
  const unfolded = text.slice(0, end.index).replace(/\r?\n[ \t]+/g, ' ')
  const header = (name: string) =>
    decodeWords(new RegExp(`^${name}:\\s*(.*)$`, 'im').exec(unfolded)?.[1]?.trim() ?? '')
  return {
    to: addresses(header('To')),
    cc: addresses(header('Cc')),
    subject: header('Subject'),
    body: decode(text.slice(end.index + end[0].length), header('Content-Transfer-Encoding')).replaceAll(
      '\r\n',
      '\n',
    ),
  }
}

function addresses(list: string): string[] {
  return list
    .split(',')
    .map((one) => (/<([^>]*)>/.exec(one)?.[1] ?? one).trim())
    .filter((one) => one !== '')
}

/** Encoded words that follow each other are one text: the blank between them is not part of it. */
function decodeWords(value: string): string {
  return value
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/(?:=\?utf-8\?[bq]\?[^?]*\?=)+/gi, (words) =>
      Buffer.concat(
        [...words.matchAll(/=\?utf-8\?([bq])\?([^?]*)\?=/gi)].map(([, kind, word = '']) =>
          kind?.toLowerCase() === 'b'
            ? Buffer.from(word, 'base64')
            : quotedPrintable(word.replaceAll('_', ' ')),
        ),
      ).toString('utf8'),
    )
}

function decode(body: string, encoding: string): string {
  switch (encoding.toLowerCase()) {
    case 'base64':
      return Buffer.from(body, 'base64').toString('utf8')
    case 'quoted-printable':
      return quotedPrintable(body.replace(/=\r?\n/g, '')).toString('utf8')
    default:
      return Buffer.from(body, 'latin1').toString('utf8')
  }
}

function quotedPrintable(text: string): Buffer {
  return Buffer.from(
    text.replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    'latin1',
  )
}
