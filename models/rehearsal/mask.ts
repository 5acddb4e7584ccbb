/** A text in which addresses, files and quotations are marks like `‹f0›`, so that rules for words pass them by. */
export interface Masked {
  text: string
  /** What the marks of a kind stood for, in the order of the text. */
  find(mark: RegExp, text: string): string[]
  /** The text with its marks written out again. */
  unmask(text: string): string
}

export const MAIL_MARK = /‹m\d+›/
export const FILE_MARK = /‹f\d+›/
export const URL_MARK = /‹u\d+›/
export const QUOTE_MARK = /‹q\d+›/

export function mask(words: string): Masked {
  const originals = new Map<string, string>()
  const hide = (kind: string) => (all: string, inner?: string) => {
    const mark = `‹${kind}${originals.size}›`
    originals.set(mark, typeof inner === 'string' ? inner : all)
    return mark
  }
  const text = words
    .replace(/[‹›]/g, ' ')
    .replace(/https?:\/\/[^\s<>"'“”`]*[^\s<>"'“”`.,;:!?)\]]/gi, (all) => hide('u')(all))
    .replace(/[\p{L}\p{N}_.+%-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+/gu, (all) => hide('m')(all))
    .replace(QUOTED_FILE, (all) => hide('f')(all, all.slice(1, -1)))
    .replace(FILE, (all) => hide('f')(all, all.replace(/^\.\//, '')))
    .replace(/["“”]([^"“”\n]{1,2000})["“”]|`([^`\n]{1,2000})`/g, (all, one?: string, two?: string) =>
      hide('q')(all, one ?? two),
    )
  return {
    text,
    find: (mark, within) =>
      (within.match(new RegExp(mark.source, 'g')) ?? []).map((one) => originals.get(one) ?? one),
    unmask: (within) => within.replace(/‹\w\d+›/g, (mark) => originals.get(mark) ?? mark),
  }
}

const EXTENSIONS =
  'csv|tsv|tab|psv|txt|text|dat|json|jsonl|md|log|xml|html?|ya?ml|ini|eml|js|ts|py|sql|pdf|xlsx?'
const FILE = new RegExp(String.raw`[\p{L}\p{N}_./\\-]*[\p{L}\p{N}_)-]\.(?:${EXTENSIONS})\b`, 'giu')
const QUOTED_FILE = new RegExp(
  ['""', "''", '``', '“”', '‘’']
    .map((quotes) => `${quotes[0]}[^${quotes}\\n‹›]*\\.(?:${EXTENSIONS})${quotes[1]}`)
    .join('|'),
  'gi',
)
