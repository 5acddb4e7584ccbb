import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'

// The tests start hundreds of servers, and a third of a server's start is compiling.
process.env['NODE_COMPILE_CACHE'] ??= new URL('node_modules/.cache/compiled', import.meta.url).pathname

export default defineConfig({
  test: {
    globalSetup: ['test/support/services.ts'],
    // Two cores have something to do while a file waits; more at a time only wait for each other.
    maxWorkers: 3,
    projects: [
      project('unit', 5_000),
      project('contract', 20_000, { exclude: ['test/contract/sandboxes/**'] }),
      // What an attack costs its host is measured, in a host that has nothing else.
      project('sandboxes', 20_000, { include: ['test/contract/sandboxes/**/*.test.ts'], isolate: true }),
      project('integration', 30_000),
      project('browser', 60_000),
      project('chaos', 90_000),
    ],
  },
})

/** Milliseconds are for one test; hooks may boot a server or create a database, and get 30 s at least. */
function project(
  name: string,
  testTimeout: number,
  more: TestProjectInlineConfiguration['test'] = {},
): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      environment: 'node',
      pool: 'forks',
      // What a file imports takes longer to load than many files take to run.
      isolate: false,
      testTimeout,
      hookTimeout: Math.max(30_000, testTimeout),
      restoreMocks: true,
      unstubEnvs: true,
      ...more,
    },
  }
}
