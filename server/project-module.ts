import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Files that Node runs as they are, because they are ours; a user's TypeScript may be of any kind. */
const OURS = new URL('..', import.meta.url).href

/** What `./src/graph.ts:graph` names, of files in `base`. Throws where the file has no such export. */
export async function importNamed(spec: string, base: string): Promise<unknown> {
  const { file, name } = splitSpec(spec)
  const module = (await import(pathToFileURL(resolve(base, file)).href)) as Record<string, unknown>
  const exported = await module[name]
  if (exported === undefined) throw new Error(`it has no export "${name}"`)
  return exported
}

/** Makes the process able to load these, if it is not: see `registerTsx`. */
export async function prepareFor(specs: string[], base: string): Promise<void> {
  if (specs.some((spec) => needsTsx(spec, base))) await registerTsx(base)
}

function needsTsx(spec: string, base: string): boolean {
  const { href } = pathToFileURL(resolve(base, splitSpec(spec).file))
  return !href.startsWith(OURS) && /\.[mc]?tsx?$/.test(href)
}

/** From now on the process also imports what Node refuses: `.tsx`, enums, paths of a tsconfig, imports without extension. */
async function registerTsx(base: string): Promise<void> {
  // Half a second that projects of plain JavaScript need not wait for.
  const { register } = await import('tsx/esm/api')
  register(tsconfigIn(base))
}

/** The file's module as it is now, whatever was imported of it before. */
export async function importAnew(file: string): Promise<{ default?: unknown }> {
  const { tsImport } = await import('tsx/esm/api')
  const options = { parentURL: import.meta.url, ...tsconfigIn(dirname(file)) }
  return (await tsImport(pathToFileURL(file).href, options)) as { default?: unknown }
}

function tsconfigIn(base: string): { tsconfig: string | false } {
  const tsconfig = join(base, 'tsconfig.json')
  return { tsconfig: existsSync(tsconfig) ? tsconfig : false }
}

export function splitSpec(spec: string): { file: string; name: string } {
  const at = spec.lastIndexOf(':')
  return at > 1 ? { file: spec.slice(0, at), name: spec.slice(at + 1) } : { file: spec, name: 'default' }
}
