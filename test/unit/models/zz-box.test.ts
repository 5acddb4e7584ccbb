import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startRehearsal } from '/work/main/models/rehearsal.ts'
import { createChildSandbox } from '../../../tools/sandbox/child.ts'
import { runAgent, runHere } from '/work/main/test/unit/models/rehearsal-agent.ts'
import { messyTable } from './messy-tables.ts'
test('x', async () => {
  const m = await startRehearsal()
  let current = new Map<string, string>()
  const box = createChildSandbox({ workspaces: { read: async (_t: string, p: string) => { const b = Buffer.from(current.get(p) ?? ''); return { bytes: b, size: b.length } } } as never })
  const s = await box.open({ threadId: 't' })
  const runCode = async (code: string, files: Map<string,string>) => { current = files; const r = await s.run(code); expect(r.status + (r.error?.message ?? '')).toBe('ok'); expect(r.value).toEqual(await runHere(code, files)); return r.value }
  let max = 0
  for (let i = 1; i < 40; i++) { const t = messyTable(i); const a = performance.now(); await runAgent(m.url, t.task, { files: { [t.file]: t.text }, runCode }); max = Math.max(max, performance.now() - a) }
  const big = 'Customer,Amount,Note\n' + Array.from({ length: 200_000 }, (_, i) => `Customer ${i % 500},"$1,${100 + i % 900}.50",some text ${i}`).join('\n')
  const a = performance.now()
  for (const q of ['Total by customer in a.csv', 'count by customer in a.csv', 'average amount by customer in a.csv where amount > 1500']) { const a = performance.now(); console.log((await runAgent(m.url, q, { files: { 'a.csv': big }, runCode: async (code, files) => { current = files; const r = await s.run(code); console.log(r.status, r.error, r.usage); return r.value } })).answer.slice(-300), big.length, performance.now() - a) }
  console.log(max)
  await s.close(); await box.close(); await m.close()
}, 60000)
