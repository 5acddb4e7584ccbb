// The program that boots Python once, for python-snapshot.ts, and writes the snapshot to stdout.
import { snapshotPython } from './python-boot.ts'
import { writeAll } from './runner-output.ts'

const [, , directory = '', memoryBytes] = process.argv
writeAll(Buffer.from(await snapshotPython(directory, Number(memoryBytes))))
