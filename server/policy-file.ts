import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { newId } from '../runtime/ids.ts'
import { prepareFor } from './project-module.ts'

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
    const [why] = (cause instanceof Error ? cause.message : String(cause)).split('\n')
    throw new Error(`The policy ${file} cannot be used. ${why}`, { cause })
  }
}

async function contentOf(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8')
  if (file.endsWith('.json')) return JSON.parse(text)
  await prepareFor([`${file}:default`], dirname(file))
  // Node keeps each module for ever by its address: another address reads the file anew.
  const module = (await import(`${pathToFileURL(file).href}?${newId()}`)) as { default?: unknown }
  const exported = withoutInterop(module.default)
  if (exported === undefined) throw new Error('It has no default export.')
  return exported
}

/** A module of a package that is not `"type": "module"` comes as CommonJS. */
function withoutInterop(exported: unknown): unknown {
  const isModule = typeof exported === 'object' && exported !== null && '__esModule' in exported
  return isModule ? (exported as { default?: unknown }).default : exported
}
