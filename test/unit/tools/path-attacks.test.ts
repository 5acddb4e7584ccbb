import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile as read,
  rm,
  symlink,
  writeFile as write,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base, expect } from 'vitest'
import { WORKSPACES } from '../../../runtime/workspaces.ts'
import type { ToolCallContext } from '../../../tools/define.ts'
import { deleteFile } from '../../../tools/delete-file.ts'
import { editFile } from '../../../tools/edit-file.ts'
import { listFiles } from '../../../tools/list-files.ts'
import { readFile } from '../../../tools/read-file.ts'
import { createWorkspaces } from '../../../tools/workspace.ts'
import { writeFile } from '../../../tools/write-file.ts'
import { callWith, ranBy, THREAD } from './call-context.ts'

const SECRET = 'the-secret-of-the-host'
const RACE_MS = 2_000

interface Stage {
  call: ToolCallContext
  workspace: string
  /** Holds `secret`, and must hold nothing else at the end. */
  outside: string
  other: string
}

const test = base.extend<{ stage: Stage }>({
  stage: async ({}, use) => {
    const root = await mkdtemp(join(tmpdir(), 'paths-'))
    const workspaces = createWorkspaces(join(root, 'workspaces'))
    const outside = join(root, 'outside')
    await mkdir(outside)
    await write(join(outside, 'secret'), SECRET)
    const other = '9c0e7d52-6a43-4f0b-8a4e-2f6f1d0b7a22'
    await workspaces.write(other, 'secret', Buffer.from(SECRET))
    await workspaces.write(THREAD, 'own', Buffer.from('own'))
    const workspace = join(root, 'workspaces', THREAD)
    await use({ call: callWith(WORKSPACES, workspaces), workspace, outside, other })
    await rm(root, { recursive: true, force: true })
  },
})

/** Every file tool with this path, and what the model would read of each. */
async function everyTool(path: string, call: ToolCallContext): Promise<string> {
  const uses = [
    () => ranBy(listFiles, { path }, call),
    () => ranBy(readFile, { path }, call),
    () => ranBy(readFile, { path, line: 1 }, call),
    () => ranBy(editFile, { path, old_text: SECRET, new_text: 'gone' }, call),
    () => ranBy(editFile, { path, old_text: 'secret', new_text: 'gone' }, call),
    () => Promise.resolve(editFile.preview?.({ path, old_text: 'secret', new_text: 'gone' }, call)),
    () => Promise.resolve(writeFile.preview?.({ path, content: 'x' }, call)),
    () => ranBy(writeFile, { path, content: 'planted' }, call),
    () => Promise.resolve(deleteFile.preview?.({ path }, call)),
    () => ranBy(deleteFile, { path }, call),
  ]
  const answers: string[] = []
  for (const use of uses) answers.push(await use().then(JSON.stringify, String))
  return answers.join('\n')
}

async function nothingHappened({ outside, other, workspace }: Stage): Promise<void> {
  expect(await readdir(outside)).toEqual(['secret'])
  expect(await read(join(outside, 'secret'), 'utf8')).toBe(SECRET)
  const others = join(workspace, '..', other)
  expect(await readdir(others)).toEqual(['secret'])
  expect(await read(join(others, 'secret'), 'utf8')).toBe(SECRET)
}

test.for<[what: string, path: (stage: Stage) => string]>([
  ['one above', () => '../secret'],
  ['above and back', ({ other }) => `a/../../${other}/secret`],
  ['another thread', ({ other }) => `../${other}/secret`],
  ['many above', () => '../'.repeat(20) + 'etc/passwd'],
  ['absolute', ({ outside }) => join(outside, 'secret')],
  ['/etc/passwd', () => '/etc/passwd'],
  ['a drive', () => 'C:\\secret'],
  ['a share', () => '\\\\server\\secret'],
  ['backslashes', () => '..\\..\\outside\\secret'],
  ['a URL', ({ outside }) => `file://${outside}/secret`],
  ['the home', () => '~/secret'],
  ['percent', () => '%2e%2e/%2e%2e/outside/secret'],
  ['percent twice', () => '%252e%252e/secret'],
  ['NUL', () => '../secret\0.txt'],
  ['NUL at the end', () => 'own\0'],
  ['a line break', () => 'own\n../secret'],
  ['over-long', () => 'x'.repeat(5_000)],
  ['an over-long part', () => `${'x'.repeat(300)}/secret`],
  ['too deep', () => 'x/'.repeat(500) + 'secret'],
  ['full-width dots', () => '．．/．．/outside/secret'],
  ['one dot leaders', () => '․․/․․/outside/secret'],
  ['a full-width slash', () => '..／..／outside／secret'],
  ['a division slash', () => '..∕..∕outside∕secret'],
  ['a fraction slash', () => '..⁄..⁄outside⁄secret'],
  ['over-long UTF-8 as text', () => 'Ã€Â®Ã€Â®/secret'],
  ['half a character', () => '..\ud800/secret'],
  ['a zero-width space in dots', () => '.​./.​./outside/secret'],
  ['this process', () => '/proc/self/environ'],
  ['descriptors', () => '../../../../../../proc/self/fd/0'],
  ['dots and spaces', () => '.. /.. /outside/secret'],
  ['an empty part', () => 'a//../../secret'],
  ['a dot', () => './../secret'],
])('nothing outside is reached by %s', async ([, path], { stage, expect }) => {
  const answers = await everyTool(path(stage), stage.call)
  expect(answers).not.toContain(SECRET)
  expect(answers).not.toContain('root:')
  expect(answers).not.toContain(stage.outside.replace(/outside$/, ''))
  await nothingHappened(stage)
})

test.for<[what: string, plant: (stage: Stage) => Promise<string>]>([
  [
    'a link to a file',
    async ({ workspace, outside }) => (await symlink(join(outside, 'secret'), join(workspace, 'l')), 'l'),
  ],
  [
    'a link to a directory',
    async ({ workspace, outside }) => (await symlink(outside, join(workspace, 'l')), 'l/secret'),
  ],
  [
    'a directory behind a link',
    async ({ workspace, outside }) => (await symlink(outside, join(workspace, 'l')), 'l/new/file'),
  ],
  [
    'a link upwards',
    async ({ workspace, other }) => (await symlink('..', join(workspace, 'l')), `l/${other}/secret`),
  ],
  [
    'a link to nothing',
    async ({ workspace, outside }) => (await symlink(join(outside, 'new'), join(workspace, 'l')), 'l'),
  ],
  [
    'a link to a link',
    async ({ workspace, outside }) => {
      await symlink(outside, join(workspace, 'one'))
      await symlink('one', join(workspace, 'two'))
      return 'two/secret'
    },
  ],
  ['a circle', async ({ workspace }) => (await symlink('l', join(workspace, 'l')), 'l/secret')],
  [
    'a hard link',
    async ({ workspace, outside }) => (await link(join(outside, 'secret'), join(workspace, 'h')), 'h'),
  ],
  [
    'the processes',
    async ({ workspace }) => (await symlink('/proc/self', join(workspace, 'l')), 'l/environ'),
  ],
])('nothing outside is reached through %s', async ([, plant], { stage, expect }) => {
  const path = await plant(stage)
  expect(await everyTool(path, stage.call)).not.toContain(SECRET)
  expect(await everyTool(path.split('/')[0] ?? '', stage.call)).not.toContain(SECRET)
  expect(JSON.stringify(await ranBy(listFiles, {}, stage.call))).not.toMatch(/"l|"h|secret/)
  await nothingHappened(stage)
})

test.skipIf(process.platform !== 'linux')(
  'nothing outside is reached by whoever swaps links in between check and use',
  { timeout: 30_000 },
  async ({ stage }) => {
    const { call, workspace, outside } = stage
    await mkdir(join(workspace, 'dir'))
    await write(join(workspace, 'dir', 'secret'), 'mine: secret')
    await write(join(workspace, 'file'), 'mine: secret')
    const racer = spawn(process.execPath, [join(import.meta.dirname, 'path-racer.ts'), workspace, outside])
    const gone = once(racer, 'exit')
    await once(racer.stdout, 'data')
    const until = performance.now() + RACE_MS
    let rounds = 0
    while (performance.now() < until) {
      for (const path of ['dir/secret', 'dir/new', 'file', 'dir'])
        expect(await everyTool(path, call)).not.toContain(SECRET)
      expect(JSON.stringify(await ranBy(listFiles, {}, call).catch(String))).not.toContain(
        `"size":${SECRET.length}`,
      )
      rounds++
    }
    racer.kill('SIGKILL')
    await gone
    expect(rounds).toBeGreaterThan(10)
    await nothingHappened(stage)
  },
)
