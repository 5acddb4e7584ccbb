import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

/** What is read at run time, beside the file that reads it: each stands in dist/ where it stands here. */
const READ_AT_RUN_TIME = ['console', 'prompts', 'storage/migrations']

/** Makes dist/, the code of the package: Node refuses TypeScript below node_modules. */
function build(): void {
  rmSync(at('dist'), { recursive: true, force: true })
  execFileSync(at('node_modules/.bin/tsc'), ['-p', at('tsconfig.build.json')], { stdio: 'inherit' })
  for (const folder of READ_AT_RUN_TIME) cpSync(at(folder), at(`dist/${folder}`), { recursive: true })
  writeFileSync(
    at('dist/langgraph.json'),
    readFileSync(at('langgraph.json'), 'utf8').replaceAll('.ts:', '.js:'),
  )
  // npm does so for what it installs; whoever unpacks it by hand has to have it too.
  chmodSync(at('dist/server/bin.js'), 0o755)
}

function at(path: string): string {
  return new URL(path, import.meta.url).pathname
}

if (import.meta.main) build()
