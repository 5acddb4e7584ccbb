import { describe, expect, inject, test } from 'vitest'
import { useServers } from './stage.ts'

describe.skipIf(inject('services').postgres === null)('a run whose checkpoints come at its end alone', () => {
  const stage = useServers()

  test('begins anew for its first effect, and asks once for what it had paused at before', async () => {
    const server = await stage.server()
    // The held step pauses while the other one is still on its way to its effect.
    const turns = [
      [{ tool: 'journal_held' } as const],
      [{ tool: 'journal_none', before: 300 } as const, { tool: 'journal_once' } as const],
    ]
    const { threadId, tag } = await stage.run(server, turns, 'chaos_plan', { durability: 'exit' })
    await stage.ended(threadId)
    const [hold, ...others] = await stage.holds(threadId)
    expect(others).toEqual([])
    expect(await stage.times(`${tag}.1.1`)).toBe(1)
    expect((await stage.decide(server, hold?.approval_id ?? '', { type: 'approve' })).status).toBe(200)
    await stage.ended(threadId)
    expect(await stage.holds(threadId)).toHaveLength(1)
    expect(await stage.times(`${tag}.0.0`)).toBe(1)
    expect(await stage.times(`${tag}.1.1`)).toBe(1)
    expect(await stage.said(threadId, `done ${tag}`)).toBe(1)
  })

  test('begins anew with calls side by side, and leaves no doubt about any', async () => {
    const server = await stage.server()
    const calls = Array.from({ length: 6 }, () => ({ tool: 'journal_once_blind', before: 60 }) as const)
    const { threadId, tag } = await stage.run(server, [calls], 'chaos_fan', { durability: 'exit' })
    await stage.ended(threadId)
    expect(await stage.holds(threadId)).toEqual([])
    const times = await Promise.all(calls.map((_, index) => stage.times(`${tag}.0.${index}`)))
    expect(times).toEqual(calls.map(() => 1))
    expect(await stage.said(threadId, `done ${tag}`)).toBe(1)
  })
})
