import { RunnableLambda } from '@langchain/core/runnables'
import { getConfig } from '@langchain/langgraph'
import { isRunTree, RunTree } from 'langsmith/run_trees'
import { getCurrentRunTree, traceable } from 'langsmith/traceable'
import { beforeAll, expect, test, vi } from 'vitest'
import { deferRunTrees } from '../../runtime/lazy-run-tree.ts'

const env: Record<string, string | undefined> = {}

beforeAll(() => deferRunTrees(env))

test('a runnable has its config, and no run tree before somebody looks', async () => {
  const made = vi.spyOn(RunTree, 'getSharedClient')
  const config = await RunnableLambda.from(() => getConfig() as unknown).invoke(null, {
    tags: ['mine'],
  })
  expect(config).toMatchObject({ tags: ['mine'] })
  expect(made).not.toHaveBeenCalled()
})

test('whoever looks finds the run tree that LangChain makes, the same each time', async () => {
  await RunnableLambda.from(() => {
    const tree = getCurrentRunTree()
    expect(isRunTree(tree)).toBe(true)
    expect(tree).toBeInstanceOf(RunTree)
    expect(tree.name).toBe('<runnable_lambda>')
    expect(getCurrentRunTree().id).toBe(tree.id)
    expect(Object.keys(tree)).toContain('trace_id')
    const child = tree.createChild({ name: 'inner' })
    expect(child.parent_run?.id).toBe(tree.id)
    expect(child.trace_id).toBe(tree.trace_id)
    expect(getConfig()).toMatchObject({ tags: ['mine'] })
    return null
  }).invoke(null, { tags: ['mine'] })
})

test('functions that LangSmith could trace run inside', async () => {
  const shout = traceable((text: string) => text.toUpperCase(), { name: 'shout' })
  expect(await RunnableLambda.from((text: string) => shout(text)).invoke('a')).toBe('A')
})

test('where tracing is on LangChain has its own way', async () => {
  env['LANGSMITH_TRACING'] = 'false'
  const made = vi.spyOn(RunTree, 'getSharedClient')
  await RunnableLambda.from(() => null).invoke(null)
  expect(made).toHaveBeenCalled()
  delete env['LANGSMITH_TRACING']
})
