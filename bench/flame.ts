import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { load } from './compare.ts'
import { createSides } from './sides.ts'

/**
 * Where the server's one thread is while 32 clients wait for runs of two nodes: writes docs/flame.svg, and prints whose
 * code has how much. `npm run bench:flame`
 */

const CLIENTS = 32
const OUT = new URL('../docs/flame.svg', import.meta.url)

interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string }; children?: number[] }[]
  samples: number[]
  /** Microseconds, as `endTime`. */
  timeDeltas: number[]
}

interface Frame {
  name: string
  owner: string
  ms: number
  self: number
  children: Map<string, Frame>
}

async function profileUnderLoad(): Promise<{ profile: Profile; loadMs: number }> {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-flame-'))
  const sides = await createSides()
  try {
    const side = await sides.start('holdpoint', ['--cpu-prof', `--cpu-prof-dir=${directory}`])
    await load(side, { load: 'rate', size: CLIENTS })
    const began = performance.now()
    await load(side, { load: 'rate', size: CLIENTS })
    const loadMs = performance.now() - began
    await sides.close()
    const [file = ''] = await readdir(directory)
    return { profile: JSON.parse(await readFile(join(directory, file), 'utf8')) as Profile, loadMs }
  } finally {
    await sides.close()
    await rm(directory, { recursive: true, force: true })
  }
}

/** Call stacks as a tree, of the last `loadMs`. Time without a stack is not ours. */
function treeOf({ nodes, samples, timeDeltas }: Profile, loadMs: number): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])))
  const root: Frame = { name: 'server', owner: '', ms: 0, self: 0, children: new Map() }
  let left = loadMs * 1_000
  for (let at = samples.length - 1; at >= 0 && left > 0; at--) {
    const us = timeDeltas[at] ?? 0
    left -= us
    const stack: Profile['nodes'][number][] = []
    for (let id = samples[at]; id !== undefined; id = parents.get(id)) {
      const node = byId.get(id)
      if (node) stack.unshift(node)
    }
    if (['(idle)', '(program)'].includes(stack.at(-1)?.callFrame.functionName ?? '')) continue
    add(root, stack.slice(1), us / 1_000)
  }
  return root
}

function add(root: Frame, stack: Profile['nodes'], ms: number): void {
  let frame = root
  frame.ms += ms
  for (const { callFrame } of stack) {
    const owner = ownerOf(callFrame.url, frame.owner)
    const name = callFrame.functionName || '(anonymous)'
    const key = `${owner} ${name}`
    const next = frame.children.get(key) ?? { name, owner, ms: 0, self: 0, children: new Map() }
    frame.children.set(key, next)
    next.ms += ms
    frame = next
  }
  frame.self += ms
}

/** A package, a folder of ours, or `node`; what has no file is whoever's called it, such as a call to the system. */
function ownerOf(url: string, caller: string): string {
  const [, name] = /node_modules\/(?!.*node_modules\/)((?:@[^/]+\/)?[^/]+)/.exec(url) ?? []
  if (name !== undefined) return name
  if (url.startsWith('node:')) return 'node'
  const [, folder] = /\/(server|runtime|storage|bench|tools|nodes|graphs|models)\/[^/]/.exec(url) ?? []
  return folder ?? caller
}

/** Of each owner: milliseconds in its own code, and what that is of all. */
function sharesOf(root: Frame): [string, number][] {
  const shares = new Map<string, number>()
  const visit = (frame: Frame) => {
    shares.set(frame.owner, (shares.get(frame.owner) ?? 0) + frame.self)
    frame.children.forEach(visit)
  }
  visit(root)
  return [...shares].toSorted(([, a], [, b]) => b - a)
}

const [WIDTH, ROW, LEAST] = [1_200, 17, 0.003]
const COLOURS: [RegExp, string][] = [
  [/^(server|runtime|storage)$/, '#e8743b'],
  [/^@langchain|^langsmith/, '#5899da'],
  [/^pg/, '#19a979'],
  [/^(hono|@hono)/, '#ed4a7b'],
  [/^node$/, '#b0b7bf'],
]

function svgOf(root: Frame): string {
  const rects: string[] = []
  let depth = 0
  const draw = (frame: Frame, x: number, row: number) => {
    const width = (frame.ms / root.ms) * WIDTH
    if (frame.ms < LEAST * root.ms) return
    depth = Math.max(depth, row)
    const share = `${((frame.ms / root.ms) * 100).toFixed(1)} %`
    const label = escaped(`${frame.name}${frame.owner === '' ? '' : ` (${frame.owner})`}`)
    const colour = COLOURS.find(([owner]) => owner.test(frame.owner))?.[1] ?? '#d9d3c7'
    const text =
      label.length * 6.2 < width
        ? `<text x="${(x + 3).toFixed(1)}" y="${row * ROW + 12}">${label}</text>`
        : ''
    rects.push(
      `<g><title>${label}: ${share}</title><rect x="${x.toFixed(1)}" y="${row * ROW}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="${colour}"/>${text}</g>`,
    )
    let at = x
    for (const child of [...frame.children.values()].toSorted((a, b) => b.ms - a.ms)) {
      draw(child, at, row + 1)
      at += (child.ms / root.ms) * WIDTH
    }
  }
  draw(root, 0, 0)
  const height = (depth + 1) * ROW
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">\n${rects.join('\n')}\n</svg>\n`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

const { profile, loadMs } = await profileUnderLoad()
const root = treeOf(profile, loadMs)
await writeFile(OUT, svgOf(root))
for (const [owner, ms] of sharesOf(root).slice(0, 14))
  process.stdout.write(`${((ms / root.ms) * 100).toFixed(1).padStart(5)} % ${owner || 'V8'}\n`)
