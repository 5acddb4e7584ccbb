import { parseArgs } from 'node:util'
import { openTarget, type Target } from './target.ts'

/**
 * The load of one round of one workload on one side, in a process of its own. Prints its figures as JSON: milliseconds,
 * medians where there are several, and runs per second.
 */

/** Steps of the long thread, each a message of 1 KB. */
const LONG_STEPS = 400

const LOADS = { wait, rate, first, between, loop, long, resume, readers } satisfies Record<string, Load>
export type LoadName = keyof typeof LOADS

type Load = (target: Target, size: number) => Promise<Record<string, number>>

async function wait(target: Target, times: number) {
  return { ms: await median(times, () => counts(target)) }
}

/** As many `clients`: a second to get going, and four that count. */
async function rate(target: Target, clients: number) {
  const begin = performance.now() + 1_000
  const end = begin + 4_000
  let runs = 0
  const client = async () => {
    while (performance.now() < end) {
      await (
        await counts(target)
      )()
      if (performance.now() >= begin && performance.now() < end) runs++
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  return { perSecond: (runs / (end - begin)) * 1_000 }
}

/** Makes a thread; then counts to two on it, and looks at the answer. */
async function counts(target: Target): Promise<() => Promise<void>> {
  const thread = await target.thread()
  return async () => {
    const values = (await target.run(thread, 'two_nodes', { input: { count: 0 } })) as { count?: number }
    if (values.count !== 2) throw new Error(`The graph ended with ${JSON.stringify(values)}.`)
  }
}

async function first(target: Target, times: number) {
  const figure = await median(times, async () => {
    const thread = await target.thread()
    return async (stop) => {
      for await (const _ of target.stream(thread, 'two_nodes', { count: 0 })) stop()
    }
  })
  return { ms: figure }
}

/** From the first event to the last, by the number of pauses between them. */
async function between(target: Target, times: number) {
  const means: number[] = []
  for (let time = 0; time < times; time++) {
    const at: number[] = []
    const said = { type: 'human', content: 'Look.' }
    const thread = await target.thread()
    for await (const _ of target.stream(thread, 'tool_loop', { messages: [said] })) at.push(performance.now())
    means.push(((at.at(-1) ?? 0) - (at[0] ?? 0)) / (at.length - 1))
  }
  return { ms: middle(means) }
}

async function loop(target: Target, times: number) {
  const figure = await median(times, async () => {
    const thread = await target.thread()
    return async () => {
      const input = { messages: [{ type: 'human', content: 'Look.' }] }
      const { messages } = (await target.run(thread, 'tool_loop', { input })) as { messages: unknown[] }
      if (messages.length !== 42) throw new Error(`The loop ended with ${messages.length} messages.`)
    }
  })
  return { ms: figure }
}

async function long(target: Target) {
  const thread = await target.thread()
  const from = performance.now()
  await target.run(thread, 'long_thread', { input: { messages: [], steps: LONG_STEPS } })
  const perStep = (performance.now() - from) / LONG_STEPS
  const read = await median(5, () => Promise.resolve(() => target.state(thread, 'long_thread')))
  return { perStep, read }
}

async function resume(target: Target, times: number) {
  const figure = await median(times, async () => {
    const thread = await target.thread()
    await target.run(thread, 'asks', { input: { answer: '' } })
    return async () => {
      const { answer } = (await target.run(thread, 'asks', { resume: 'yes' })) as { answer?: string }
      if (answer !== 'yes') throw new Error(`The graph went on with ${answer}.`)
    }
  })
  return { ms: figure }
}

/** Opens them, says so, and keeps them until the input ends. */
async function readers(target: Target, count: number) {
  for (let opened = 0; opened < count; opened += 50)
    await Promise.all(Array.from({ length: 50 }, async () => target.read(await target.thread())))
  process.stdout.write('open\n')
  for await (const _ of process.stdin);
  return {}
}

/** Of `times` goes at the work that `prepare` returns: milliseconds until it ends, or calls `stop`. */
async function median(
  times: number,
  prepare: () => Promise<(stop: () => void) => Promise<unknown>>,
): Promise<number> {
  const figures: number[] = []
  for (let time = 0; time < times; time++) {
    const work = await prepare()
    const from = performance.now()
    let stopped: number | undefined
    await work(() => {
      stopped ??= performance.now()
    })
    figures.push((stopped ?? performance.now()) - from)
  }
  return middle(figures)
}

function middle(figures: number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN
}

const { values } = parseArgs({
  options: { target: { type: 'string' }, work: { type: 'string' }, size: { type: 'string' } },
})
const { target: place = '', work = '', size = '10' } = values
const load = (LOADS as Record<string, Load>)[work]
if (load === undefined)
  throw new Error(`There is no load "${work}". There are: ${Object.keys(LOADS).join(', ')}.`)
const target = openTarget(place)
process.stdout.write(`${JSON.stringify(await load(target, Number(size)))}\n`)
target.close()
