import { readFileSync } from 'node:fs'

const texts = new Map<string, string>()

/** The text of `prompts/NAME.md`, read at its first use. `{{key}}` becomes `values.key`. */
export function prompt(name: string, values: Record<string, string> = {}): string {
  const text =
    texts.get(name) ?? readFileSync(new URL(`../prompts/${name}.md`, import.meta.url), 'utf8').trim()
  texts.set(name, text)
  return text.replaceAll(/\{\{(\w+)\}\}/g, (_, key: string) => values[key] ?? '')
}
