import { afterEach } from 'vitest'
import { type ScriptedModel, type ScriptedStep, startScriptedModel } from './scripted-model.ts'
import { type ServerProcess, spawnServer, type TestServerOptions } from './server.ts'

/** Servers as processes of their own, and models that answer by a script; all end with the test. */
export function useProcesses() {
  const closers: (() => Promise<unknown> | void)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  return {
    closers,
    async spawn(options: TestServerOptions & { dataDir: string }): Promise<ServerProcess> {
      const server = await spawnServer(options)
      closers.push(server.kill)
      return server
    },
    async scripted(...steps: ScriptedStep[]): Promise<ScriptedModel> {
      const model = await startScriptedModel(steps)
      closers.push(model.close)
      return model
    },
  }
}
