import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchIn } from '../../../tools/sandbox/bubblewrap.ts'
import { type Cgroups, findCgroups } from '../../../tools/sandbox/cgroup.ts'
import { launchChild, type Start } from '../../../tools/sandbox/launch.ts'
import { workingBackends } from './backends.ts'

const working = await workingBackends()
const MIB = 1024 * 1024
const LIMITS = { cpuMs: 10_000, memoryBytes: 64 * MIB }
/** Of a runner without its guest: Node alone. */
const DATA_BYTES = 900 * MIB

/** Plain Node without `--permission`, as if a guest had broken out of its interpreter and out of that. */
function program(code: string) {
  return { command: [process.execPath, '-e', code], reads: [], dataBytes: DATA_BYTES }
}

describe.runIf(working.includes('bubblewrap'))('whoever breaks out into bubblewrap', () => {
  let folder: string
  let cgroups: Cgroups | undefined

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'walls-'))
    await writeFile(join(folder, 'secret'), 'the-secret-of-the-host')
    cgroups = findCgroups()
  })

  afterAll(async () => {
    await cgroups?.close()
    await rm(folder, { recursive: true })
  })

  const escape = (code: string) => run(launchIn(cgroups)(program(code), LIMITS))

  test('reaches no listener of the host', async () => {
    let connections = 0
    const server = createServer((socket) => void (connections++, socket.destroy()))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const { stdout } = await escape(
      `require('net').connect(${port}, '127.0.0.1').on('error', (e) => console.log(e.code)).on('connect', () => console.log('in'))`,
    )
    server.close()
    expect([stdout.trim(), connections]).toEqual(['ECONNREFUSED', 0])
  })

  test('finds no file of the host, no other process and no environment', async () => {
    const { stdout } = await escape(
      `const fs = require('fs'); const t = (f) => { try { return f() } catch (e) { return e.code } }
       console.log(JSON.stringify({
         passwd: t(() => fs.readFileSync('/etc/passwd', 'utf8')),
         secret: t(() => fs.readFileSync(${JSON.stringify(join(folder, 'secret'))}, 'utf8')),
         home: t(() => fs.readdirSync('/root')),
         pids: fs.readdirSync('/proc').filter((n) => /^\\d+$/.test(n)).length,
         environ: fs.readdirSync('/proc').filter((n) => /^\\d+$/.test(n)).map((n) => t(() => fs.readFileSync('/proc/' + n + '/environ', 'utf8'))).filter((e) => /=/.test(e) && !/^PWD=[^=]*$/.test(e)),
         uid: process.getuid(),
         shell: t(() => require('child_process').execFileSync('/bin/sh', ['-c', 'id'])),
         write: t(() => fs.writeFileSync('/usr/lib/planted', 'x')),
         root: t(() => fs.writeFileSync('/planted', 'x')),
       }))`,
    )
    const found = JSON.parse(stdout) as Record<string, unknown>
    expect(found).toMatchObject({
      passwd: 'ENOENT',
      secret: 'ENOENT',
      home: 'ENOENT',
      environ: [],
      uid: 65534,
      shell: 'ENOENT',
    })
    expect(found['pids']).toBeLessThan(5)
    expect(['EROFS', 'EFBIG', 'EACCES']).toContain(found['write'])
    expect(['EROFS', 'EFBIG', 'EACCES', undefined]).toContain(found['root'])
    expect(await readdir('/')).not.toContain('planted')
  })

  test('gets no more memory than its program may have', async () => {
    const { stdout, failed } = await escape(
      "const l = []; process.on('exit', () => {}); for (let i = 0; i < 4000; i++) { l.push(new Uint8Array(1 << 20).fill(1)); if (i % 100 === 0) require('fs').writeSync(1, i + ' ') }",
    )
    expect(failed).toBe(true)
    expect(Number(stdout.trim().split(' ').at(-1))).toBeLessThan(DATA_BYTES / MIB)
  })

  test('gets no more with several processes where there is a control group', async ({ skip }) => {
    if (cgroups === undefined) skip('this host grants no control group')
    const fill =
      "const l = []; for (let i = 0; i < 300; i++) l.push(new Uint8Array(1 << 20).fill(1)); console.log('full'); setTimeout(() => {}, 1500)"
    const { stdout } = await escape(
      `const { spawn } = require('child_process')
       for (let i = 0; i < 6; i++) spawn(process.execPath, ['-e', ${JSON.stringify(fill)}], { stdio: ['ignore', 'inherit', 'ignore'] })`,
    )
    // 1.8 GB in all; the group has one.
    expect(stdout.trim().split('\n').filter(Boolean).length).toBeLessThan(4)
  })

  test('cannot fill the host with processes where there is a control group', async ({ skip }) => {
    if (cgroups === undefined) skip('this host grants no control group')
    const { stdout } = await escape(
      `let n = 0; const { spawn } = require('child_process')
       const one = () => { const c = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 3000)']); c.on('error', () => { console.log(n); process.exit() }); c.on('spawn', () => { n++; if (n > 200) { console.log(n); process.exit() } one() }) }
       one()`,
    )
    expect(Number(stdout.trim() === '' ? 0 : stdout.trim())).toBeLessThan(64)
  })

  test('ends with the process that the host kills', async () => {
    const start = launchIn(cgroups)(program("console.log('up'); setInterval(() => {}, 1000)"), LIMITS)
    const child = execFile(start.command, start.args, { env: {} })
    child.stdout?.once('data', () => child.kill('SIGKILL'))
    await new Promise((resolve) => child.on('close', resolve))
    expect(child.signalCode).toBe('SIGKILL')
    start.ended?.()
  })
})

test.skipIf(process.platform !== 'linux')(
  'a plain child gets no more memory than its program may have, and writes no file',
  async () => {
    const { stdout, failed } = await run(
      launchChild(
        program(
          "try { require('fs').writeFileSync('/tmp/planted-by-a-child', 'x') } catch (e) { console.log(e.code) } const l = []; for (let i = 0; i < 4000; i++) l.push(new Uint8Array(1 << 20).fill(1)); console.log('all')",
        ),
        LIMITS,
      ),
    )
    await rm('/tmp/planted-by-a-child', { force: true })
    expect([stdout.trim(), failed]).toEqual(['EFBIG', true])
  },
)

function run({ command, args, ended }: Start): Promise<{ stdout: string; failed: boolean }> {
  return new Promise((resolve) => {
    execFile(command, args, { env: {}, timeout: 20_000, killSignal: 'SIGKILL' }, (error, stdout) => {
      ended?.()
      resolve({ stdout, failed: error !== null })
    })
  })
}
