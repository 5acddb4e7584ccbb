import { createRequire } from 'node:module'

/** Of Holdpoint itself, or of a package that it uses. By name: the sources and what is built of them find the same. */
export function versionOf(name = 'holdpoint'): string {
  return (createRequire(import.meta.url)(`${name}/package.json`) as { version: string }).version
}
