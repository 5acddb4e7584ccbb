import type { Operation } from './code.ts'
import { FILE_MARK, type Masked, QUOTE_MARK } from './mask.ts'

/** A question about tables, in the words of the task. */
export interface Question {
  operation: Operation
  /** False where no word named the operation and a total is a guess. */
  spoken: boolean
  /** "How many customers": different ones, where "count of customers" speaks of rows. */
  countsThings: boolean
  /** What is to be totalled, counted, …: "net amount", "orders"; may be empty. */
  value: string
  /** "customer", "region": one for each column to group by. */
  groups: string[]
  where?: { column: string; comparison: Comparison; operand: string }
  top?: { count: number; lowest: boolean }
  /** Files named in the task, in order. */
  files: string[]
  everyFile: boolean
  /** Conditions that no rule here reads; the answer says so. */
  unread: string[]
  /**
   * What follows the words for the operation and for the groups, as far as it goes: a column may be called
   * "List Price" or "Sum of Squares", and only its header can tell where such a name ends.
   */
  tails: { value: string; group: string }
  /** The question as it was put. */
  words: string
}

export type Comparison = '=' | '!=' | '<' | '>' | '<=' | '>='

/** Null: the words ask for nothing that a table could answer. */
export function readQuestion(masked: Masked, words: string): Question | null {
  const { rest, where } = readWhere(masked, words)
  const { groups, tail } = readGroups(masked, rest)
  const found = readOperation(rest)
  const files = masked.find(FILE_MARK, rest)
  const which =
    /\b(?:which|what|who|whose)\b.*\b(most|highest|largest|biggest|best|least|lowest|smallest|fewest)\b/i.exec(
      rest,
    )
  if (!found && groups.length === 0 && !which) return null
  if (found?.operation === 'list' && groups.length === 0 && files.length === 0) return null

  const question: Question = {
    operation: found?.operation ?? 'sum',
    spoken: found !== null,
    countsThings: found !== null && /how many|number of/i.test(found.word),
    value: found ? masked.unmask(found.phrase) : '',
    groups,
    where,
    top: readTop(rest),
    files,
    everyFile: /\b(?:both|all|every|each)\b(?: of)?(?: the| my| our)? (?:[\w-]+ )?files?\b/i.test(rest),
    unread: [
      ...(rest.match(CONDITIONS) ?? []).map((one) => one.trim()),
      ...(found?.second ? [found.second] : []),
    ],
    tails: { value: masked.unmask(found?.tail ?? ''), group: masked.unmask(tail) },
    words: masked
      .unmask(words.replace(/(?:\s*[;,]\s*)+(?=[;,.]|$)|^[\s;,]+/g, '').replace(/\s+/g, ' '))
      .trim(),
  }
  if (which) return superlative(question, which, masked, rest)
  // "the top 5 customers by revenue": here the words after "by" are what is totalled.
  const ranked = question.top && /\b(?:top|best|bottom|worst)\s+\d+\s+(.*?)\s+by\s/i.exec(rest)
  if (!ranked) return question
  const tails = { value: question.tails.group, group: ranked[1] ?? '' }
  return { ...question, value: groups.join(' '), groups: [masked.unmask(phrase(ranked[1] ?? ''))], tails }
}

const CONDITIONS = /\b(?:only|except|excluding|without|unless|since|before|after|between|during)\b[^,.;‹]*/gi

/** The question in words that read back as the same question, of one file of several: the goal of a step. */
export function questionText(question: Question, file?: string): string {
  if (file === undefined || question.files.length < 2) return question.words
  const { operation, value, groups, where, top, unread } = question
  const quoted = (text: string) => `"${text.replaceAll('"', '')}"`
  const subject = value === '' && operation === 'count' ? 'rows' : value === '' ? '' : quoted(value)
  return [
    `${SPOKEN[operation]}${subject === '' ? '' : ` of ${subject}`}`.replace(/(?<=of) of/, ''),
    groups.length > 0 ? `by ${groups.map(quoted).join(' and ')}` : '',
    `in ${quoted(file)}`,
    where ? `where ${quoted(where.column)} ${where.comparison} ${quoted(where.operand)}` : '',
    top ? `(${top.lowest ? 'bottom' : 'top'} ${top.count})` : '',
    unread.length > 0 ? `; ${unread.join('; ')}` : '',
  ]
    .filter((part) => part !== '')
    .join(' ')
}

const SPOKEN = {
  sum: 'Total',
  average: 'Average',
  min: 'Minimum',
  max: 'Maximum',
  count: 'Number of',
  distinct: 'Number of different',
  list: 'List',
} satisfies Record<Operation, string>

/** "Which customer spent the most": the first of the customers by total. */
function superlative(question: Question, which: RegExpExecArray, masked: Masked, text: string): Question {
  const asked = /\b(?:which|what|who)\s+(.*)/i.exec(text)?.[1] ?? ''
  const subject = phrase(asked)
  if (question.groups.length > 0 || subject === '') return question
  const counted = /\b(?:most|fewest)\s+(orders|rows|lines|entries|records|sales)\b/i.test(text)
  const after = phrase(text.slice(which.index + which[0].length))
  const lowest = /least|lowest|smallest|fewest/i.test(which[1] ?? '')
  return {
    ...question,
    operation: counted ? 'count' : question.operation === 'average' ? 'average' : 'sum',
    value: counted ? '' : masked.unmask(after),
    groups: [masked.unmask(subject)],
    tails: { value: '', group: '' },
    top: { count: 1, lowest },
  }
}

const OPERATIONS: [Operation, RegExp][] = [
  ['distinct', /\b(?:how many|number of|count(?: of| the)?)\s+(?:the\s+)?(?:distinct|unique|different)\b/i],
  ['count', /\b(?:total )?(?:number|count) of\b|\bcounts?\b|\bhow many\b/i],
  ['average', /\baverages?\b|\bavg\b|\bmean\b/i],
  ['min', /\bmin(?:imum)?\b|\b(?:smallest|lowest|least|cheapest)\b/i],
  ['max', /\bmax(?:imum)?\b|\b(?:largest|highest|biggest|greatest|most expensive)\b/i],
  [
    'sum',
    /\btotals?\b|\btotall?(?:ed|ing)\b|\bsum(?:s|med|ming)?\b|\badd(?:ed|ing)? up\b|\bhow much\b|\btally\b/i,
  ],
  ['list', /\b(?:distinct|unique|different)\b|\blist(?: of)?\b/i],
]

interface Found {
  operation: Operation
  /** The word that named it. */
  word: string
  phrase: string
  tail: string
  /** A second operation, which the rules leave out. */
  second?: string
}

function readOperation(text: string): Found | null {
  const [first] = OPERATIONS.map(([operation, pattern], rank) => ({
    operation,
    rank,
    match: pattern.exec(text),
  }))
    .filter((one): one is typeof one & { match: RegExpExecArray } => one.match !== null)
    // A list is also how people ask for any table: every other word wins over it.
    .toSorted(
      (a, b) =>
        Number(a.operation === 'list') - Number(b.operation === 'list') ||
        a.match.index - b.match.index ||
        a.rank - b.rank,
    )
  if (!first) return null
  const end = first.match.index + first.match[0].length
  const after = phrase(text.slice(end), true)
  const tail = text.slice(end, end + TAIL)
  return {
    operation: first.operation,
    word: first.match[0],
    phrase: after || phraseBefore(text.slice(0, first.match.index)),
    tail,
    second: SECOND.exec(text.slice(end))?.[0].trim(),
  }
}

const SECOND =
  /\band\s+(?:the\s+|its\s+|their\s+)?(?:average|mean|avg|sum|total|count|number of|min(?:imum)?|max(?:imum)?|smallest|largest|highest|lowest)\b[^,.;‹]*/i

const TAIL = 80

function readGroups(masked: Masked, text: string): { groups: string[]; tail: string } {
  const openings = [
    /(?<!\b(?:sort|sorted|rank|ranked|ordered|divided|multiplied|followed|sent|made)\s)\b(?:by|per)\s+/gi,
    /\b(?:for|of|in)\s+(?:each|every)\s+/gi,
    /\b(?:each|every)\s+/gi,
  ]
  for (const opening of openings) {
    for (const match of text.matchAll(opening)) {
      const tail = text.slice(match.index + match[0].length).slice(0, TAIL)
      const found = phrase(tail, true)
      if (found !== '' && !/^(?:e-?mail|mail|files?)$/i.test(found)) {
        return { groups: found.split(/\s+(?:and|&)\s+/).map((one) => masked.unmask(one)), tail }
      }
    }
  }
  return { groups: [], tail: '' }
}

function readWhere(masked: Masked, text: string): { rest: string; where?: Question['where'] } {
  const match = new RegExp(
    String.raw`\b(?:where|whose|having)\s+(?:the\s+)?(.{1,60}?)\s*(>=|<=|!=|<>|==?|>|<|\b(?:is not|isn't|is at least|is at most|(?:is |are )?(?:over|above|more than|under|below|less than)|equals|is|are|was)\b)\s*(‹q\d+›|[^\s,;‹]+)`,
    'i',
  ).exec(text)
  if (!match) return { rest: text }
  const [all, column = '', sign = '', operand = ''] = match
  const comparison = COMPARISONS.find(([pattern]) => pattern.test(sign.trim()))?.[1] ?? '='
  const where = {
    column: masked.unmask(column),
    comparison,
    operand: masked.unmask(operand).replace(/[.?!]$/, ''),
  }
  return { rest: text.replace(all, ' , '), where }
}

const COMPARISONS: [RegExp, Comparison][] = [
  [/^(>=|is at least)$/i, '>='],
  [/^(<=|is at most)$/i, '<='],
  [/^(!=|<>|is not|isn't)$/i, '!='],
  [/>|over|above|more/i, '>'],
  [/<|under|below|less/i, '<'],
]

function readTop(text: string): Question['top'] {
  const match = /\b(?:top|first|best)\s+(\d+)\b|\b(\d+)\s+(?:largest|biggest|highest|best)\b/i.exec(text)
  const bottom = /\b(?:bottom|worst)\s+(\d+)\b|\b(\d+)\s+(?:smallest|lowest)\b/i.exec(text)
  const count = Number(match?.[1] ?? match?.[2] ?? bottom?.[1] ?? bottom?.[2])
  return count > 0 ? { count, lowest: bottom !== null && match === null } : undefined
}

/** The words up to the next one that cannot belong to a column's name. With `and`: also "region and product". */
function phrase(text: string, withAnd = false): string {
  const found: string[] = []
  const words = text.trimStart().match(/‹\w\d+›|[\p{L}\p{N}_%#/$€£'-]+|[^\s\p{L}\p{N}]/gu) ?? []
  for (const [at, word] of words.entries()) {
    const next = words[at + 1] ?? ''
    if (found.length === 0 && LEADING.test(word)) continue
    const receives =
      word === 'to' &&
      /^(?:sold|bill|billed|ship|shipped|assigned|belongs?)$/i.test(words[at - 1] ?? '') &&
      !next.startsWith('‹m')
    if (receives || (/^(?:sold|ordered)$/i.test(word) && next === 'to')) {
      found.push(word)
      continue
    }
    const joins = withAnd && /^(?:and|&)$/i.test(word) && found.length > 0 && isWord(next) && !STOP.test(next)
    if (!joins && (!isWord(word) || STOP.test(word))) break
    found.push(word)
    if (found.length === 8) break
  }
  return found.join(' ')
}

function phraseBefore(text: string): string {
  const word = /(‹q\d+›|[\p{L}\p{N}_]+)\s*$/u.exec(text)?.[1] ?? ''
  return STOP.test(word) || LEADING.test(word) ? '' : word
}

function isWord(word: string): boolean {
  return QUOTE_MARK.test(word) || /^[\p{L}\p{N}_#$%]/u.test(word)
}

const LEADING = /^(?:of|the|all|up|a|an|our|my|their|its|his|her|any|both|how|much|column|together)$/i

const STOP =
  /^(?:by|per|for|in|inside|from|of|on|to|into|at|as|and|or|then|with|where|whose|using|based|out|over|across|is|are|was|were|do|does|did|has|have|had|can|could|will|there|that|which|who|what|it|them|me|us|please|also|each|every|mail|e-?mail|email|send|forward|write|save|store|export|put|report|tell|show|give|print|list|return|count|sum|total|totals|average|calculate|compute|add|sort|sorted|only|except|excluding|without|since|before|after|between|during|grouped|group|spent|spend|ordered|bought|owes?|earned|sold|both|how|much|largest|highest|smallest|lowest|top|cc|file|files|make|create|prepare|produce|deliver|notify|inform|let|finally|post|submit|use|read|open)$/i
