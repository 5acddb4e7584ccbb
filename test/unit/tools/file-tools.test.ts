import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base, expect } from 'vitest'
import { WORKSPACES, type Workspaces } from '../../../runtime/workspaces.ts'
import { decodePiece } from '../../../tools/decode-piece.ts'
import type { ToolCallContext } from '../../../tools/define.ts'
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
