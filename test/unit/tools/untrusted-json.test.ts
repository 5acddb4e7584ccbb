import { expect, test } from 'vitest'
import { encodeFrame, frameReader } from '../../../tools/sandbox/frames.ts'
import { parseGuestFrame } from '../../../tools/sandbox/protocol.ts'
import { parseUntrusted } from '../../../tools/sandbox/untrusted-json.ts'

test('keys that reach a prototype are dropped at every level', () => {
  const value = parseUntrusted('{"__proto__":{"a":1},"b":[{"constructor":1,"prototype":2,"c":3}]}')
  expect(JSON.stringify(value)).toBe('{"b":[{"c":3}]}')
  expect(({} as Record<string, unknown>)['a']).toBeUndefined()
})

test('text becomes what a database can store', () => {
  expect(parseUntrusted(String.raw`["a\u0000b", "\ud800", {"k\u0000": 1}]`)).toEqual([
    'a\ufffdb',
    '\ufffd',
    { 'k\ufffd': 1 },
  ])
})

test('more than 100 levels are refused, brackets in strings are not levels', () => {
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
  expect(() => parseUntrusted(nested(100))).not.toThrow()
  expect(() => parseUntrusted(nested(101))).toThrow(SyntaxError)
  expect(() => parseUntrusted(nested(1_000_000))).toThrow(SyntaxError)
  expect(parseUntrusted(JSON.stringify(`"\\${'['.repeat(500)}`))).toHaveLength(502)
})

test('frames are cut out of a stream wherever it is split', () => {
  const stream = Buffer.concat([encodeFrame({ a: 1 }), encodeFrame('ü'), encodeFrame([])])
  for (let size = 1; size < stream.length; size++) {
    const seen: string[] = []
    const read = frameReader(100, (json) => seen.push(json))
    for (let at = 0; at < stream.length; at += size) read(stream.subarray(at, at + size))
    expect(seen).toEqual(['{"a":1}', '"ü"', '[]'])
  }
})

test('a frame over the limit is refused by its length, before its body comes', () => {
  const read = frameReader(100, () => {})
  expect(() => read(encodeFrame('x'.repeat(200)).subarray(0, 4))).toThrow(RangeError)
})

test('what is not a frame of ours is refused', () => {
  const bad = [
    '',
    '{',
    'null',
    '{"type":"run"}',
    '{"type":"call","id":-1,"name":"x","args":[]}',
    '{"type":"ready","x":1}',
  ]
  for (const json of bad) expect(() => parseGuestFrame(json), json).toThrow()
  const call = { type: 'call', id: 1, name: 'readFile', args: ['a'] }
  expect(parseGuestFrame(JSON.stringify(call))).toEqual(call)
})
