// A process that swaps what a path names, as fast as it can (path-attacks.test.ts): a directory, and links outwards.
import { renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

const [, , workspace = '', outside = ''] = process.argv
const [directory = '', aside, link = ''] = ['dir', 'aside', 'link'].map((name) => join(workspace, name))
const [file, fileAside, fileLink = ''] = ['file', 'file-aside', 'file-link'].map((name) =>
  join(workspace, name),
)
symlinkSync(outside, link)
symlinkSync(join(outside, 'secret'), fileLink)
process.stdout.write('racing\n')
// A test that is killed ends no children.
const parent = process.ppid
while (process.ppid === parent) {
  swap(directory, aside, link)
  swap(file, fileAside, fileLink)
}

/** The name is the real thing, then the link, then the real thing again. What the tools put there meanwhile is lost. */
function swap(name = '', real = '', link = ''): void {
  try {
    renameSync(name, real)
    renameSync(link, name)
    renameSync(name, link)
    renameSync(real, name)
  } catch {
    try {
      renameSync(real, name)
    } catch {
      // A tool has made another: the next turn takes that.
    }
  }
}
