/** A named piece of text: the result of a step or the report of a specialist. */
export interface Passage {
  name: string
  text: string
}

/**
 * Splits `name: text` pieces, each of which may run over many lines. Only names that a plan of ours, or a
 * team of specialists, gives start a new piece, so that a line `Total: 12` within a text does not; when the
 * first name is a stranger's, lower-case names do.
 */
export function passages(text: string): Passage[] {
  const trimmed = text.trim()
  if (/^\(?(none|nothing)( yet)?\)?\.?$/i.test(trimmed)) return []
  const start = OURS.test(trimmed) ? OURS : STRANGERS
  const found: { name: string; lines: string[] }[] = []
  for (const line of trimmed === '' ? [] : trimmed.split('\n')) {
    const [opening, name] = start.exec(line) ?? []
    if (opening !== undefined && name !== undefined) found.push({ name, lines: [line.slice(opening.length)] })
    else if (found.length === 0) found.push({ name: '', lines: [line] })
    else found.at(-1)?.lines.push(line)
  }
  return found.map(({ name, lines }) => ({ name, text: outdented(lines.join('\n')).trim() }))
}

/** The lines below the first without the indent that sets them off from what follows. */
export function outdented(text: string): string {
  const [first = '', ...rest] = text.split('\n')
  if (!rest.every((line) => line.trim() === '' || line.startsWith('  '))) return text
  return [first, ...rest.map((line) => line.replace(/^ {2}/, ''))].join('\n')
}

const OURS =
  /^(?:[-*] )?((?:work|save|mail|report)(?:_\d+)?(?:_again)?|researcher|analyst|operator)(?: \([^)]*\))?: ?/
const STRANGERS = /^(?:[-*] )?([a-z][\w-]*)(?: \([^)]*\))?: ?/
