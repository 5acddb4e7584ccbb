import { z } from 'zod'
import type { Effects } from '../../runtime/ports.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { json } from '../reply.ts'
import { Effect, EffectList } from '../schemas/effects.ts'
import { ThreadParams } from '../schemas/threads.ts'

export interface EffectPorts {
  effects: Effects
}

export function effectRoute({ effects }: EffectPorts): Endpoint {
  return endpoint({
    method: 'get',
    path: '/threads/:thread_id/effects',
    tag: 'Effects',
    access: 'threads:read',
    summary: "The thread's side effects, newest first",
    params: ThreadParams,
    query: EffectList,
    answers: { 200: { description: 'Effects', schema: z.array(Effect) } },
    // Asked of the ledger alone: it outlives the thread.
    handle: async (c, { params, query }) => json(c, await effects.list(params.thread_id, query)),
  })
}
