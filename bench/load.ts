import { parseArgs } from 'node:util'

/** The load of one round on one server, in a process of its own. Prints its figures as JSON: milliseconds, and runs per second. */

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    requests: { type: 'string' },
    clients: { type: 'string' },
    ms: { type: 'string' },
  },
})
const { url = '', requests = '40', clients = '32', ms = '4000' } = values

async function post(path: string, body: object): Promise<Response> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${path} was answered with ${response.status}: ${await response.text()}`)
  return response
}

async function thread(): Promise<string> {
  const { thread_id } = (await (await post('/threads', {})).json()) as { thread_id: string }
  return thread_id
}

async function wait(threadId: string): Promise<void> {
  const answer = await post(`/threads/${threadId}/runs/wait`, {
    assistant_id: 'two_nodes',
    input: { count: 0 },
  })
  const { count } = (await answer.json()) as { count?: number }
  if (count !== 2) throw new Error(`The graph ended with ${count}.`)
}

/** Milliseconds to the first byte of the first event. */
async function firstEvent(threadId: string): Promise<number> {
  const from = performance.now()
  const answer = await post(`/threads/${threadId}/runs/stream`, {
    assistant_id: 'two_nodes',
    input: { count: 0 },
  })
  let first: number | undefined
  for await (const chunk of answer.body ?? []) {
    if (first === undefined && Buffer.from(chunk).includes('event:')) first = performance.now() - from
  }
  if (first === undefined) throw new Error('There was no event.')
  return first
}

function median(figures: number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN
}

async function timed(work: () => Promise<void>): Promise<number> {
  const from = performance.now()
  await work()
  return performance.now() - from
}

const waits: number[] = []
const firsts: number[] = []
for (let index = 0; index < Number(requests); index++) {
  const [a, b] = [await thread(), await thread()]
  waits.push(await timed(() => wait(a)))
  firsts.push(await firstEvent(b))
}
let runs = 0
const from = performance.now()
await Promise.all(
  Array.from({ length: Number(clients) }, async () => {
    while (performance.now() - from < Number(ms)) {
      await wait(await thread())
      runs++
    }
  }),
)
const perSecond = (runs / (performance.now() - from)) * 1_000
process.stdout.write(`${JSON.stringify({ wait: median(waits), first: median(firsts), perSecond })}\n`)
