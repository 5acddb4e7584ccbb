import { link, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base, expect } from 'vitest'
import type { Workspaces } from '../../../runtime/workspaces.ts'
import { createWorkspaces } from '../../../tools/workspace.ts'
import { TEMP_PREFIX } from '../../../tools/workspace-path.ts'
import { THREAD } from './call-context.ts'

const OTHER = '9c0e7d52-6a43-4f0b-8a4e-2f6f1d0b7a22'

const test = base.extend<{ root: string; workspaces: Workspaces }>({
  root: async ({}, use) => {
    const root = await mkdtemp(join(tmpdir(), 'workspace-'))
    await use(root)
    await rm(root, { recursive: true })
  },
  workspaces: async ({ root }, use) =>
    use(createWorkspaces(root, { quotaBytes: 100, maxFiles: 3, maxFileBytes: 60 })),
})

const bytes = (text: string) => Buffer.from(text)
const code = (expected: string) => expect.objectContaining({ code: expected })

test('a written file is read back and listed, with its size and its time', async ({ workspaces }) => {
  const entry = await workspaces.write(THREAD, 'reports/a.csv', bytes('x,y\n'))
  expect(entry).toMatchObject({ path: 'reports/a.csv', size: 4 })
  expect(Date.parse(entry.modified_at)).toBeGreaterThan(Date.now() - 60_000)
  const { bytes: read, size } = await workspaces.read(THREAD, 'reports/a.csv')
  expect([Buffer.from(read).toString(), size]).toEqual(['x,y\n', 4])
  expect(await workspaces.list(THREAD)).toMatchObject([{ path: 'reports/a.csv', size: 4 }])
})

test('a workspace that was never written to is empty', async ({ workspaces }) => {
  expect(await workspaces.list(THREAD)).toEqual([])
  await workspaces.clear(THREAD)
})

test('a thread does not see the files of another', async ({ workspaces }) => {
  await workspaces.write(THREAD, 'a', bytes('1'))
  expect(await workspaces.list(OTHER)).toEqual([])
  await expect(workspaces.read(OTHER, 'a')).rejects.toEqual(code('file_not_found'))
  await expect(workspaces.read(OTHER, `../${THREAD}/a`)).rejects.toEqual(code('invalid_path'))
})

test('a range reads a piece, and one past the end reads nothing', async ({ workspaces }) => {
  await workspaces.write(THREAD, 'a', bytes('0123456789'))
  const piece = async (offset: number, limit: number) => {
    return Buffer.from((await workspaces.read(THREAD, 'a', { offset, limit })).bytes).toString()
  }
  expect(await piece(2, 3)).toBe('234')
  expect(await piece(8, 10)).toBe('89')
  expect(await piece(20, 5)).toBe('')
})

test('a list of a directory holds what is below it, a list of a file that file', async ({ workspaces }) => {
  for (const path of ['b/2', 'a', 'b/c/1']) await workspaces.write(THREAD, path, bytes('1'))
  const paths = async (path?: string) => (await workspaces.list(THREAD, path)).map((file) => file.path)
  expect(await paths()).toEqual(['a', 'b/2', 'b/c/1'])
  expect(await paths('.')).toEqual(['a', 'b/2', 'b/c/1'])
  expect(await paths('b/')).toEqual(['b/2', 'b/c/1'])
  expect(await paths('a')).toEqual(['a'])
  await expect(paths('nope')).rejects.toEqual(code('file_not_found'))
})

test.for([
  '',
  '/etc/passwd',
  'C:/x',
  '..',
  '../x',
  'a/../../x',
  'a/..',
  './a',
  'a//b',
  'a/',
  'a\\b',
  'a\0b',
  'a\nb',
  '\ud800',
  `${'x'.repeat(256)}`,
  `${'xx/'.repeat(400)}x`,
  `${'x/'.repeat(40)}x`,
  `${TEMP_PREFIX}1`,
])('the path %j is refused everywhere', async (path, { workspaces, expect }) => {
  await expect(workspaces.write(THREAD, path, bytes('1'))).rejects.toEqual(code('invalid_path'))
  await expect(workspaces.read(THREAD, path)).rejects.toEqual(code('invalid_path'))
  await expect(workspaces.remove(THREAD, path)).rejects.toEqual(code('invalid_path'))
})

test('a thread id that is not a UUID is refused', async ({ workspaces }) => {
  for (const id of ['..', '', `${THREAD}/..`, 'x']) {
    await expect(workspaces.list(id)).rejects.toEqual(code('invalid_path'))
    await expect(workspaces.clear(id)).rejects.toEqual(code('invalid_path'))
  }
})

test('links are refused on every component, for reading, writing, listing and removing', async ({
  root,
  workspaces,
}) => {
  await workspaces.write(THREAD, 'real/a', bytes('1'))
  const secret = join(root, 'secret')
  await writeFile(secret, 'secret')
  await symlink(secret, join(root, THREAD, 'link'))
  await symlink(root, join(root, THREAD, 'dir'))
  await symlink('real', join(root, THREAD, 'inner'))
  await link(secret, join(root, THREAD, 'hard'))
  for (const path of ['link', 'dir/secret', 'inner/a', 'hard']) {
    await expect(workspaces.read(THREAD, path)).rejects.toEqual(code('invalid_path'))
    await expect(workspaces.write(THREAD, path, bytes('x'))).rejects.toEqual(code('invalid_path'))
    await expect(workspaces.list(THREAD, path)).rejects.toEqual(code('invalid_path'))
    await expect(workspaces.remove(THREAD, path)).rejects.toEqual(code('invalid_path'))
  }
  expect((await workspaces.list(THREAD)).map((file) => file.path)).toEqual(['real/a'])
})

test('a workspace that is itself a link is refused', async ({ root, workspaces }) => {
  await mkdir(join(root, 'elsewhere'))
  await symlink(join(root, 'elsewhere'), join(root, THREAD))
  await expect(workspaces.write(THREAD, 'a', bytes('1'))).rejects.toEqual(code('invalid_path'))
  expect(await readdir(join(root, 'elsewhere'))).toEqual([])
})

test('a file cannot be used as a directory, nor a directory as a file', async ({ workspaces }) => {
  await workspaces.write(THREAD, 'a/b', bytes('1'))
  await expect(workspaces.write(THREAD, 'a/b/c', bytes('1'))).rejects.toEqual(code('invalid_path'))
  await expect(workspaces.write(THREAD, 'a', bytes('1'))).rejects.toEqual(code('invalid_path'))
  await expect(workspaces.read(THREAD, 'a')).rejects.toEqual(code('invalid_path'))
})

test('a write over the quota is refused and changes nothing', async ({ workspaces }) => {
  await workspaces.write(THREAD, 'a', bytes('1'.repeat(60)))
  await expect(workspaces.write(THREAD, 'b', bytes('1'.repeat(41)))).rejects.toEqual(code('quota_exceeded'))
  await expect(workspaces.write(THREAD, 'a', bytes('1'.repeat(61)))).rejects.toEqual(code('quota_exceeded'))
  await workspaces.write(THREAD, 'a', bytes('2'.repeat(50)))
  await workspaces.write(THREAD, 'b', bytes('1'))
  await workspaces.write(THREAD, 'c', bytes('1'))
  await expect(workspaces.write(THREAD, 'd', bytes(''))).rejects.toEqual(code('quota_exceeded'))
  await workspaces.remove(THREAD, 'c')
  await workspaces.write(THREAD, 'd', bytes(''))
})

test('writes at the same time do not pass the quota together', async ({ workspaces }) => {
  const writes = ['a', 'b', 'c'].map((path) => workspaces.write(THREAD, path, bytes('1'.repeat(40))))
  const outcomes = await Promise.allSettled(writes)
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
})

test('a reader never sees half a file', async ({ workspaces }) => {
  await workspaces.write(THREAD, 'a', bytes('a'.repeat(50)))
  const rewrite = async () => {
    for (let i = 0; i < 40; i++) await workspaces.write(THREAD, 'a', bytes((i % 2 ? 'a' : 'b').repeat(50)))
  }
  const writing = rewrite()
  for (let i = 0; i < 40; i++) {
    const { bytes: read } = await workspaces.read(THREAD, 'a')
    expect(Buffer.from(read).toString()).toMatch(/^(a{50}|b{50})$/)
  }
  await writing
})

test('removing the last file of a directory removes the directory', async ({ root, workspaces }) => {
  await workspaces.write(THREAD, 'x/y/a', bytes('1'))
  await workspaces.remove(THREAD, 'x/y/a')
  expect(await readdir(join(root, THREAD))).toEqual([])
  await expect(workspaces.remove(THREAD, 'x/y/a')).rejects.toEqual(code('file_not_found'))
})

test('clearing removes everything of the thread and of no other', async ({ root, workspaces }) => {
  await workspaces.write(THREAD, 'a', bytes('1'))
  await workspaces.write(OTHER, 'a', bytes('1'))
  await workspaces.clear(THREAD)
  expect(await readdir(root)).toEqual([OTHER])
})

test('a message names no directory of the host', async ({ root, workspaces }) => {
  const errors = await Promise.all(
    ['../x', 'nope', 'a/b/c'].map((path) =>
      workspaces.read(THREAD, path).catch((error: Error) => error.message),
    ),
  )
  for (const message of errors) expect(message).not.toContain(root)
})
