import { type Chunk, pageChunk } from './chunk.ts'

/**
 * A list as pages of pages. Where a page ends is said by its items alone, so that equal stretches have equal pages,
 * wherever they are: an append writes a page now and then, an edit those around it, a fork and a copy share the rest.
 * What comes after the last page of each level stands in the list's root.
 */
export interface Item {
  /** JSON of a small element; else it is the chunk of that hash. */
  readonly inline: string | undefined
  readonly hash: string
  /** Whether a page may end after it. */
  readonly ends: boolean
}

/** Of each level its items and the pages that they are in, from the bottom. */
export interface Tree {
  readonly levels: readonly Level[]
}

interface Level {
  readonly items: readonly Item[]
  readonly pages: readonly Item[]
  /** Where each page ends: how many items are before it and in it. */
  readonly ends: readonly number[]
}

/**
 * A reference is 16 bytes in each checkpoint as long as it is in no page, and a page's row is 250: with a page of
 * five references on average, lists of 400 and of 4,000 cost about the least (bench/checkpoints.ts).
 */
const ENDS_ONE_IN = 3
const INLINE_BYTES_PER_PAGE = 512
/** At least as many, or levels would hardly become shorter; at most as many, or a list of equal elements had no pages. */
const FEWEST = 3
const MOST = 12

export function referenceTo(hash: string): Item {
  return { inline: undefined, hash, ends: Number.parseInt(hash.slice(0, 4), 16) % ENDS_ONE_IN === 0 }
}

export function inlineItem(json: string): Item {
  return { inline: json, hash: '', ends: spread(json) % INLINE_BYTES_PER_PAGE < json.length }
}

/** FNV-1a: which small elements end a page is a matter of chance, and the same everywhere. */
function spread(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return (value ^ (value >>> 15)) >>> 0
}

/** `before`: a tree whose beginning may be the same. `added` meets each page that is not in it. */
export function treeOf(items: readonly Item[], before: Tree | undefined, added: (page: Chunk) => void): Tree {
  const levels: Level[] = []
  for (let level = paged(items, before?.levels[0], added); ;) {
    levels.push(level)
    if (level.pages.length === 0) return { levels }
    level = paged(level.pages, before?.levels[levels.length], added)
  }
}

function paged(items: readonly Item[], before: Level | undefined, added: (page: Chunk) => void): Level {
  const kept = before === undefined ? 0 : pagesWithin(before, sameItems(items, before.items))
  const pages = before?.pages.slice(0, kept) ?? []
  const ends = before?.ends.slice(0, kept) ?? []
  let from = ends.at(-1) ?? 0
  for (let to = from + 1; to <= items.length; to++) {
    const count = to - from
    if (count < FEWEST || (!items[to - 1]?.ends && count < MOST)) continue
    const page = pageOf(items.slice(from, to))
    added(page)
    pages.push(referenceTo(page.hash))
    ends.push(to)
    from = to
  }
  return { items, pages, ends }
}

function sameItems(items: readonly Item[], before: readonly Item[]): number {
  const most = Math.min(items.length, before.length)
  let same = 0
  while (same < most && isSame(items[same], before[same])) same += 1
  return same
}

function isSame(one: Item | undefined, other: Item | undefined): boolean {
  return one === other || (one?.hash === other?.hash && one?.inline === other?.inline)
}

function pagesWithin({ ends }: Level, count: number): number {
  let pages = ends.length
  while (pages > 0 && (ends[pages - 1] ?? 0) > count) pages -= 1
  return pages
}

function pageOf(items: readonly Item[]): Chunk {
  const { text, refs } = written(items)
  return pageChunk(text === `[${refs.length}]` ? null : text, refs)
}

/** The items of each level that are in no page, from the top, as `written` has them. */
export function rootOf({ levels }: Tree): { text: string; refs: string[] } {
  const open = levels.map(({ items, ends }) => written(items.slice(ends.at(-1) ?? 0))).toReversed()
  return { text: `[${open.map(({ text }) => text).join()}]`, refs: open.flatMap(({ refs }) => refs) }
}

/** As JSON: a number stands for as many references, and small elements stand in lists of their own: `[2,["a"],1]`. */
function written(items: readonly Item[]): { text: string; refs: string[] } {
  const refs: string[] = []
  const parts: string[] = []
  let references = 0
  let small: string[] = []
  const close = () => {
    if (references > 0) parts.push(String(references))
    if (small.length > 0) parts.push(`[${small.join()}]`)
    references = 0
    small = []
  }
  for (const { inline, hash } of items) {
    if (inline === undefined ? small.length > 0 : references > 0) close()
    if (inline === undefined) {
      references += 1
      refs.push(hash)
    } else small.push(inline)
  }
  close()
  return { text: `[${parts.join()}]`, refs }
}
