import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLog } from '../../server/log.ts'
import { findPolicy } from '../../server/policy-file.ts'
import { type CurrentPolicy, openPolicy } from '../../server/policy-watch.ts'
import { NO_RULES, type Policy, readPolicy } from '../../tools/policy/schema.ts'
import { temporaryDirectory } from '../support/server.ts'
import { WAIT } from '../support/stage.ts'

const rules = (...names: string[]) =>
  JSON.stringify({ rules: names.map((name) => ({ name, when: { tool: '*' }, then: 'deny' })) })

let folder = ''
let lines: string[] = []
let opened: CurrentPolicy<Policy> | undefined
const file = () => join(folder, 'holdpoint.policy.json')
beforeEach(async () => {
  folder = await temporaryDirectory()
  lines = []
})
afterEach(async () => {
  opened?.close()
  await rm(folder, { recursive: true, force: true })
})

async function open(path: string | undefined): Promise<CurrentPolicy<Policy>> {
  const log = createLog((line) => lines.push(line))
  opened = await openPolicy(path, { read: readPolicy, none: NO_RULES, log })
  return opened
}
const names = (policy: CurrentPolicy<Policy>) => policy.current().rules.map(({ name }) => name)
const until = (check: () => void) => vi.waitFor(check, WAIT)

test('a file that another one is moved over is read anew, and one that goes away leaves what it said', async () => {
  await writeFile(file(), rules('one'))
  const policy = await open(file())
  expect(names(policy)).toEqual(['one'])
  await writeFile(join(folder, 'next'), rules('two', 'three'))
  await rename(join(folder, 'next'), file())
  await until(() => expect(names(policy)).toEqual(['two', 'three']))
  await rm(file())
  await until(() => expect(lines.join()).toContain('The policy of before stays'))
  expect(names(policy)).toEqual(['two', 'three'])
  await writeFile(file(), rules('four'))
  await until(() => expect(names(policy)).toEqual(['four']))
})

test('a file that is wrong is warned of once, with its place, until it changes', async () => {
  await writeFile(file(), rules('one'))
  const policy = await open(file())
  await writeFile(file(), '{"rules":[{"name":"x","when":{"tool":"*"},"then":"block"}]}')
  await until(() => expect(lines.join()).toContain(`The policy ${file()} cannot be used. rules[0].then:`))
  await writeFile(join(folder, 'another file'), 'x')
  await writeFile(file(), rules('two'))
  await until(() => expect(names(policy)).toEqual(['two']))
  expect(lines.filter((line) => line.includes('rules[0].then'))).toHaveLength(1)
})

test('each version is told once, and again where telling fails', async () => {
  await writeFile(file(), rules('one'))
  const policy = await open(file())
  const told: string[] = []
  let failing = true
  await policy.follow((version) => {
    told.push(version)
    return Promise.resolve()
  })
  const first = policy.current().version
  expect(told).toEqual([first])
  await policy.follow((version) => {
    told.push(version)
    return failing && told.length < 4 ? Promise.reject(new Error('no database')) : Promise.resolve()
  })
  expect(told).toEqual([first])
  await writeFile(file(), rules('two'))
  await until(() => expect(told.length).toBeGreaterThanOrEqual(3))
  failing = false
  await until(() => expect(told.slice(1).every((version) => version === policy.current().version)).toBe(true))
  expect(lines.join()).toContain('is not recorded yet')
})

test('what cannot be used at start is one line', async () => {
  for (const [text, line] of [
    ['{"rules":', /^The policy .+ cannot be used\. .*JSON/],
    ['[]', /^The policy .+ cannot be used\. the policy: /],
    [rules('a', 'a'), /rules\[1\]\.name: another rule is called "a"$/],
  ] as const) {
    await writeFile(file(), text)
    const error = await open(file()).then(
      () => 'nothing',
      (refusal: Error) => refusal.message,
    )
    expect(error).toMatch(line)
    expect(error).not.toContain('\n')
  }
  await expect(open(join(folder, 'nowhere.json'))).rejects.toThrow(
    /^The policy .+nowhere\.json cannot be used\. ENOENT/,
  )
  await writeFile(join(folder, 'holdpoint.policy.ts'), 'export default { rules: [] }')
  expect(() => findPolicy(undefined, folder)).toThrow(
    /are both there\. Keep one, or name one in HOLDPOINT_POLICY\.$/,
  )
  expect(findPolicy(file(), folder)).toBe(file())
})
