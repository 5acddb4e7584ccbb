import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { importAnew } from './project-module.ts'

const USUAL = ['holdpoint.policy.ts', 'holdpoint.policy.json']

/** Reads what the file says, or throws one line that names the place that is wrong. */
export type ReadPolicy<Policy> = (value: unknown) => Policy

/** The file that was named, else the folder's own; `undefined` where there is none. Throws one line. */
export function findPolicy(named: string | undefined, folder: string): string | undefined {
  if (named !== undefined) return resolve(named)
  const found = USUAL.map((name) => join(folder, name)).filter((file) => existsSync(file))
  if (found.length > 1)
    throw new Error(`${found.join(' and ')} are both there. Keep one, or name one in HOLDPOINT_POLICY.`)
  return found[0]
}

/** Throws one line, with the file's name. */
export async function loadPolicy<Policy>(file: string, read: ReadPolicy<Policy>): Promise<Policy> {
  try {
    return read(await contentOf(file))
  } catch (cause) {
    const why = (cause instanceof Error ? cause.message : String(cause)).replaceAll(/\s*\n\s*/g, ' ')
    throw new Error(`The policy ${file} cannot be used. ${why}`, { cause })
  }
}

async function contentOf(file: string): Promise<unknown> {
  if (file.endsWith('.json')) return JSON.parse(await readFile(file, 'utf8'))
  const exported = withoutInterop((await importAnew(file)).default)
  if (exported === undefined) throw new Error('It has no default export.')
  return exported
}

/** A module of a package that is not `"type": "module"` comes as CommonJS. */
function withoutInterop(exported: unknown): unknown {
  const isModule = typeof exported === 'object' && exported !== null && '__esModule' in exported
  return isModule ? (exported as { default?: unknown }).default : exported
}
