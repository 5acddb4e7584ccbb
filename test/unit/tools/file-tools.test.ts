import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base, expect } from 'vitest'
import { WORKSPACES, type Workspaces } from '../../../runtime/workspaces.ts'
import { decodePiece } from '../../../tools/decode-piece.ts'
import type { ToolCallContext } from '../../../tools/define.ts'
import { deleteFile } from '../../../tools/delete-file.ts'
import { editFile } from '../../../tools/edit-file.ts'
import { listFiles } from '../../../tools/list-files.ts'
import { readFile } from '../../../tools/read-file.ts'
import { createWorkspaces } from '../../../tools/workspace.ts'
import { writeFile } from '../../../tools/write-file.ts'
import { callWith, THREAD, ranBy } from './call-context.ts'

const test = base.extend<{ workspaces: Workspaces; call: ToolCallContext }>({
  workspaces: async ({}, use) => {
    const root = await mkdtemp(join(tmpdir(), 'tools-'))
    await use(createWorkspaces(root))
    await rm(root, { recursive: true })
  },
  call: async ({ workspaces }, use) => use(callWith(WORKSPACES, workspaces)),
})

interface Piece {
  encoding: string
  content: string
  size: number
  next_offset: number | null
}

interface LinePiece {
  content: string
  next_line: number | null
  next_offset?: number
}

test('a file is written, listed and read', async ({ call }) => {
  expect(await ranBy(writeFile, { path: 'a/b.txt', content: 'hällo' }, call)).toEqual({
    path: 'a/b.txt',
    size: 6,
  })
  expect(await ranBy(listFiles, {}, call)).toEqual({ files: [{ path: 'a/b.txt', size: 6 }] })
  expect(await ranBy(listFiles, { path: 'a' }, call)).toEqual({ files: [{ path: 'a/b.txt', size: 6 }] })
  expect(await ranBy(readFile, { path: 'a/b.txt' }, call)).toEqual({
    path: 'a/b.txt',
    encoding: 'utf8',
    content: 'hällo',
    size: 6,
    next_offset: null,
  })
})

test('following next_offset gives the whole text and never cuts a character', async ({ call }) => {
  const text = 'aä€😀'.repeat(7)
  await ranBy(writeFile, { path: 't', content: text }, call)
  for (const limit of [4, 5, 6, 7, 100]) {
    let whole = ''
    for (let offset: number | null = 0; offset !== null;) {
      const piece = (await ranBy(readFile, { path: 't', offset, limit }, call)) as Piece
      expect(piece.encoding).toBe('utf8')
      whole += piece.content
      offset = piece.next_offset
    }
    expect(whole).toBe(text)
  }
})

test('bytes that are no text come in base64', async ({ workspaces, call }) => {
  const bytes = Buffer.from([0xff, 0xfe, 0x00, 0x80])
  await workspaces.write(THREAD, 'b', bytes)
  const piece = (await ranBy(readFile, { path: 'b' }, call)) as Piece
  expect(piece).toMatchObject({ encoding: 'base64', content: bytes.toString('base64'), next_offset: null })
})

test('a text with NUL is binary, because it could not be stored as text', () => {
  expect(decodePiece(Buffer.from('a\0b'), {})).toMatchObject({ encoding: 'base64' })
})

test('a file that begins with half a character is binary', () => {
  expect(decodePiece(Buffer.from([0x80, 0x61]), {})).toMatchObject({ encoding: 'base64', bytes: 2 })
})

test('an offset inside a character leaves its rest out', () => {
  expect(decodePiece(Buffer.from('ä!').subarray(1), { before: true })).toEqual({
    encoding: 'utf8',
    content: '!',
    bytes: 2,
  })
})

test('what the workspace refuses reaches the model as INVALID_ARGS with the reason', async ({ call }) => {
  const refused = expect.objectContaining({ name: 'ToolError', code: 'INVALID_ARGS' })
  await expect(ranBy(readFile, { path: 'nope' }, call)).rejects.toEqual(refused)
  await expect(ranBy(readFile, { path: '../x' }, call)).rejects.toEqual(refused)
  await expect(ranBy(listFiles, { path: '/etc' }, call)).rejects.toEqual(refused)
  await expect(ranBy(writeFile, { path: 'a/../b', content: '' }, call)).rejects.toThrow(
    /relative to the workspace/,
  )
})

test('arguments over the limits and unknown keys do not parse', () => {
  expect(readFile.schema.safeParse({ path: 'a', limit: 70_000 }).success).toBe(false)
  expect(readFile.schema.safeParse({ path: 'a', limit: 3 }).success).toBe(false)
  expect(readFile.schema.safeParse({ path: 'a', encoding: 'x' }).success).toBe(false)
  expect(writeFile.schema.safeParse({ path: 'a', content: 'x'.repeat(1_000_001) }).success).toBe(false)
})

test('lines are read from any of them, with the number of the next', async ({ call }) => {
  const text = Array.from({ length: 10 }, (_, index) => `line ${index + 1}\n`).join('')
  await ranBy(writeFile, { path: 't', content: `${text}last` }, call)
  expect(await ranBy(readFile, { path: 't', line: 3, lines: 2 }, call)).toEqual({
    path: 't',
    content: 'line 3\nline 4\n',
    size: text.length + 4,
    first_line: 3,
    next_line: 5,
  })
  let whole = ''
  for (let line: number | null = 1; line !== null;) {
    const piece = (await ranBy(readFile, { path: 't', line, lines: 4 }, call)) as LinePiece
    whole += piece.content
    line = piece.next_line
  }
  expect(whole).toBe(`${text}last`)
  expect(await ranBy(readFile, { path: 't', line: 99 }, call)).toMatchObject({ content: '', next_line: null })
})

test('a line that is longer than a piece is cut between characters, and says where it goes on', async ({
  call,
}) => {
  const long = 'x€'.repeat(40_000)
  await ranBy(writeFile, { path: 't', content: `first\n${long}\nthird` }, call)
  const piece = (await ranBy(readFile, { path: 't', line: 2 }, call)) as LinePiece
  expect(piece).toMatchObject({ next_line: 3, cut: expect.stringContaining('goes on at offset') })
  const rest = (await ranBy(readFile, { path: 't', offset: piece.next_offset, limit: 65_536 }, call)) as Piece
  const after = (await ranBy(
    readFile,
    { path: 't', offset: rest.next_offset ?? 0, limit: 65_536 },
    call,
  )) as Piece
  expect(`${piece.content}${rest.content}${after.content}`).toBe(`${long}\nthird`)
  expect(await ranBy(readFile, { path: 't', line: 3 }, call)).toMatchObject({
    content: 'third',
    next_line: null,
  })
})

test('lines of a file that is no text are refused', async ({ workspaces, call }) => {
  await workspaces.write(THREAD, 'b', Buffer.from([0xff, 0x0a, 0x00]))
  await expect(ranBy(readFile, { path: 'b', line: 1 }, call)).rejects.toMatchObject({ code: 'INVALID_ARGS' })
})

test('an edit replaces the passage that stands there once, and changes nothing a second time', async ({
  call,
}) => {
  await ranBy(writeFile, { path: 't', content: 'a = 1\nb = 2\nb = 3\n' }, call)
  const edit = (old_text: string, new_text: string) =>
    ranBy(editFile, { path: 't', old_text, new_text }, call)
  expect(await edit('a = 1\n', 'a = 1\na2 = 1\n')).toMatchObject({ path: 't', changed: true })
  expect(await edit('a = 1\n', 'a = 1\na2 = 1\n')).toMatchObject({ changed: false })
  await expect(edit('b = ', 'c = ')).rejects.toThrow(/more than once/)
  await expect(edit('z = ', 'c = ')).rejects.toThrow(/does not stand in t/)
  expect(await edit('b = 3\n', '')).toMatchObject({ changed: true })
  expect(await ranBy(readFile, { path: 't' }, call)).toMatchObject({ content: 'a = 1\na2 = 1\nb = 2\n' })
  await expect(ranBy(editFile, { path: 'nope', old_text: 'a', new_text: '' }, call)).rejects.toMatchObject({
    code: 'INVALID_ARGS',
  })
})

test('edits at the same time all count', async ({ call }) => {
  await ranBy(writeFile, { path: 't', content: '<1><2><3><4>' }, call)
  await Promise.all(
    ['1', '2', '3', '4'].map((n) =>
      ranBy(editFile, { path: 't', old_text: `<${n}>`, new_text: `[${n}]` }, call),
    ),
  )
  expect(await ranBy(readFile, { path: 't' }, call)).toMatchObject({ content: '[1][2][3][4]' })
})

test('the previews of an edit and of a deletion show the lines that go', async ({ workspaces, call }) => {
  await ranBy(writeFile, { path: 't', content: 'one\ntwo\n' }, call)
  expect(await editFile.preview?.({ path: 't', old_text: 'two', new_text: '2' }, call)).toMatchObject({
    kind: 'diff',
    text: expect.stringMatching(/-two\n\+2/),
  })
  expect(await deleteFile.preview?.({ path: 't' }, call)).toMatchObject({
    kind: 'diff',
    before: expect.stringMatching(/^[0-9a-f]{64}$/),
    text: expect.stringMatching(/-one\n-two/),
  })
  await workspaces.write(THREAD, 'b', Buffer.from([0xff]))
  expect(await deleteFile.preview?.({ path: 'b' }, call)).toMatchObject({
    text: expect.stringContaining('Deletes 1 bytes'),
  })
})

test('a deletion that nobody heard of again is known by the file', async ({ call }) => {
  await ranBy(writeFile, { path: 't', content: 'x' }, call)
  expect(await deleteFile.probe?.({ path: 't' }, call)).toEqual({ state: 'can_no_longer_happen' })
  expect(await ranBy(deleteFile, { path: 't' }, call)).toEqual({ path: 't', deleted: true })
  expect(await deleteFile.probe?.({ path: 't' }, call)).toMatchObject({ state: 'happened' })
  await expect(ranBy(deleteFile, { path: 't' }, call)).rejects.toMatchObject({ code: 'INVALID_ARGS' })
})
