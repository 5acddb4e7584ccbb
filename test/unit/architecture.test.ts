import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')
const TOWERS = ['storage', 'graphs', 'nodes', 'tools', 'models']
const AROUND = ['test', 'evals', 'bench', 'chaos', 'examples']
const FOLDERS = ['server', 'runtime', ...TOWERS, 'console', 'prompts', ...AROUND]
const COMPOSITION_ROOTS = ['server/main.ts', 'server/manage.ts']

/** What each folder may import of ours, itself apart. `.oxlintrc.json` says the same by what it forbids. */
const ARROWS: Record<string, string[]> = {
  runtime: [],
  storage: ['runtime'],
  tools: ['runtime'],
  models: ['runtime'],
  nodes: ['tools', 'models', 'prompts', 'runtime'],
  graphs: ['nodes', 'tools', 'models', 'prompts', 'runtime'],
  server: ['runtime'],
  ...Object.fromEntries(COMPOSITION_ROOTS.map((file) => [file, [...TOWERS, 'prompts', 'runtime']])),
  console: [],
  prompts: [],
  ...Object.fromEntries(AROUND.map((folder) => [folder, FOLDERS])),
}

test('imports between our folders go one way', async () => {
  const wrong: string[] = []
  for (const file of await sources()) {
    for (const specifier of await importsOf(file)) {
      if (!specifier.startsWith('.')) continue
      const from = folderOf(file)
      const to = folderOf(relative(ROOT, resolve(ROOT, dirname(file), specifier)))
      if (to !== from && FOLDERS.includes(to) && !allowed(file).includes(to)) wrong.push(`${file} → ${to}/`)
    }
  }
  expect(wrong).toEqual([])
})

test(
  'the linter refuses every import that the arrows refuse, and no other',
  { timeout: 20_000 },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'holdpoint-arrows-'))
    try {
      await cp(join(ROOT, '.oxlintrc.json'), join(directory, '.oxlintrc.json'))
      const expected: string[] = []
      for (const { from, to, file } of everyImport()) {
        const up = relative(dirname(file), to)
        await mkdir(join(directory, dirname(file)), { recursive: true })
        await writeFile(join(directory, file), `import type { A } from '${up}/a.ts'\nexport type B = A\n`)
        if (!allowed(from).includes(to)) expected.push(file)
      }
      // Each is one file, so all that it may not import stands in it.
      for (const root of COMPOSITION_ROOTS) {
        const permitted = allowed(root)
        const forbidden = FOLDERS.filter((to) => to !== 'server' && !permitted.includes(to))
        await writeFile(join(directory, root), [...forbidden, ...permitted].map(sideEffect).join('\n'))
        expected.push(...forbidden.map(() => root))
      }

      expect((await refusedImports(directory)).sort()).toEqual(expected.sort())
    } finally {
      await rm(directory, { recursive: true })
    }
  },
)

test('every folder with source code is known to the arrows, the linter and the type checker', async () => {
  const entries = await readdir(ROOT, { withFileTypes: true })
  const folders = entries.filter(
    (entry) => entry.isDirectory() && !/^\.|^(node_modules|dist|coverage)$/.test(entry.name),
  )
  const scripts = (await readJson('package.json')).scripts as Record<string, string>
  const { include } = await readJson('tsconfig.json')
  const [withCode, withTypeScript] = [new Set<string>(), new Set<string>()]
  for (const { name } of folders) {
    for (const file of await filesBelow(name)) {
      if (/\.[cm]?[jt]sx?$/.test(file)) withCode.add(name)
      if (/\.[cm]?tsx?$/.test(file) && name !== 'console') withTypeScript.add(name)
    }
  }
  expect(FOLDERS).toEqual(expect.arrayContaining([...withCode]))
  expect(scripts['lint']?.split(' ')).toEqual(expect.arrayContaining([...withCode]))
  expect(include).toEqual(expect.arrayContaining([...withTypeScript]))
})

test('no file or folder is a drawer for odds and ends', async () => {
  const drawers = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'shared', 'lib', 'types', 'misc'])
  const names = (await sources()).flatMap((file) =>
    file.split('/').map((part) => ({ file, stem: part.split('.')[0] ?? '' })),
  )
  expect(names.filter(({ stem }) => drawers.has(stem.toLowerCase())).map(({ file }) => file)).toEqual([])
})

test('dependencies are pinned exactly', async () => {
  const loose = Object.entries(await declared()).filter(
    ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
  )
  expect(loose).toEqual([])
})

test('no dependency runs a script when it is installed, except the one that brings Node', async () => {
  const { packages } = await readJson('package-lock.json')
  const { allowScripts } = await readJson('package.json')
  const locked = Object.entries(packages as Record<string, { hasInstallScript?: boolean }>)
  expect(locked.length).toBeGreaterThan(50)
  const scripted = locked.filter(([, entry]) => entry.hasInstallScript).map(([path]) => path)
  // esbuild's script only looks after what npm has installed already; it is denied.
  expect(scripted.toSorted()).toEqual(['node_modules/esbuild', 'node_modules/node'])
  expect(allowScripts).toEqual({ esbuild: false, node: true })
})

test('what ships imports no development dependency', async () => {
  const dependencies = Object.keys((await readJson('package.json')).dependencies as object)
  const wrong: string[] = []
  for (const file of await sources()) {
    if (AROUND.includes(folderOf(file)) || folderOf(file) === 'console') continue
    for (const specifier of await importsOf(file)) {
      if (specifier.startsWith('.') || isBuiltin(specifier)) continue
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
      if (!dependencies.includes(name)) wrong.push(`${file} → ${name}`)
    }
  }
  expect(wrong).toEqual([])
})

test('docs/dependencies.md gives the reason for every dependency', async () => {
  const text = await readFile(join(ROOT, 'docs/dependencies.md'), 'utf8')
  const documented = [...text.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? '')
  expect(documented.sort()).toEqual(Object.keys(await declared()).sort())
})

function allowed(file: string): string[] {
  return ARROWS[file] ?? ARROWS[folderOf(file)] ?? []
}

function folderOf(file: string): string {
  return file.split('/')[0] ?? ''
}

/** Each pair of folders twice: from a file at the top of the folder, and from one two levels down. */
function everyImport(): { from: string; to: string; file: string }[] {
  return FOLDERS.flatMap((from) =>
    FOLDERS.filter((to) => to !== from).flatMap((to) =>
      ['', 'deep/deeper/'].map((below) => ({ from, to, file: `${from}/${below}imports-${to}.ts` })),
    ),
  )
}

function sideEffect(folder: string): string {
  return `import '../${folder}/a.ts'`
}

/** The file of each refused import. */
async function refusedImports(directory: string): Promise<string[]> {
  const bin = join(ROOT, 'node_modules/.bin')
  // oxlint looks for its type-aware half and for Node on the path.
  const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` }
  const output = await new Promise<string>((done) => {
    const options = { cwd: directory, env, maxBuffer: 64e6 }
    execFile(join(bin, 'oxlint'), ['--format', 'json', '.'], options, (_failed, stdout) => done(stdout))
  })
  const { diagnostics } = JSON.parse(output) as { diagnostics: { code: string; filename: string }[] }
  return diagnostics
    .filter(({ code }) => code.includes('no-restricted-imports'))
    .map(({ filename }) => filename)
}

async function sources(): Promise<string[]> {
  const files = (await Promise.all(FOLDERS.map(filesBelow))).flat()
  return files.filter((file) => /\.[cm]?[jt]sx?$/.test(file))
}

/** Paths from the root, built and installed files left out. A folder that is not there yet is empty. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((file) => !/(^|\/)(node_modules|dist)\//.test(file))
}

/** Static and literal dynamic imports, of types too. This file's own examples do not count. */
async function importsOf(file: string): Promise<string[]> {
  if (file === relative(ROOT, import.meta.filename)) return []
  const text = await readFile(join(ROOT, file), 'utf8')
  const pattern =
    /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/gm
  return [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? '')
}

async function declared(): Promise<Record<string, string>> {
  const { dependencies, devDependencies } = await readJson('package.json')
  return { ...(dependencies as object), ...(devDependencies as object) }
}

async function readJson(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(ROOT, name), 'utf8')) as Record<string, unknown>
}
