import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { type PolicyFile, readPolicy } from '../../tools/policy/schema.ts'
import { temporaryDirectory } from './server.ts'
import { type Stage, WAIT } from './stage.ts'

export type Rules = PolicyFile['rules']

export interface PolicyOfTests {
  /** The settings of the server, complete from `beforeAll` on, with a policy without rules. */
  env: Record<string, string>
  readonly file: string
  /** Writes the rules and the allowlist, and waits until the server has read them. Returns their version. */
  inForce(stage: Stage, rules: Rules, tools?: PolicyFile['tools']): Promise<string>
}

/** Before `useStage`, which starts the server. */
export function usePolicyFile(settings: Record<string, string> = {}): PolicyOfTests {
  const env = { ...settings }
  let folder = ''
  const file = () => join(folder, 'holdpoint.policy.json')
  beforeAll(async () => {
    folder = await temporaryDirectory()
    env['HOLDPOINT_POLICY'] = file()
    await writeFile(file(), JSON.stringify({ rules: [] }))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return {
    env,
    get file() {
      return file()
    },
    async inForce(stage, rules, tools) {
      const policy = { rules, tools }
      const text = JSON.stringify(policy)
      const { version } = readPolicy(policy)
      if ((await readFile(file(), 'utf8')) === text) return version
      const lines = stage.logLines.length
      await writeFile(file(), text)
      const read = () =>
        stage.logLines.slice(lines).some((line) => line.includes('read anew') && line.includes(version))
      await vi.waitFor(() => expect(read()).toBe(true), WAIT)
      return version
    },
  }
}
