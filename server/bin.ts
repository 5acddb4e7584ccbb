#!/usr/bin/env node
// The `holdpoint` of the command line. An older Node has to get as far as the line that says what it lacks:
// nothing is imported before, and nothing is written here that Node 18 does not read.
const OLDEST = [24, 12] as const
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  process.stderr.write(
    `Holdpoint needs Node ${OLDEST.join('.')} or newer, and this is ${process.versions.node}. Install Node 24 from https://nodejs.org.\n`,
  )
  process.exitCode = 1
} else {
  const { command } = await import('./command.ts')
  await command(process.argv.slice(2))
}

export {}
