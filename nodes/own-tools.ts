import type { LangGraphRunnableConfig } from '@langchain/langgraph'
import { z } from 'zod'
import type { Tool } from '../tools/define.ts'

const Names = z.array(z.string()).optional()

/**
 * Those of the agent's tools that the configuration names in `tools`, which is an assistant's or a run's: all where it
 * names none. It adds nothing to what the graph has.
 */
export function ownTools(tools: Tool[], { configurable }: LangGraphRunnableConfig): Tool[] {
  const named = Names.safeParse(configurable?.['tools'])
  if (!named.success) throw new Error('configurable.tools must be a list of names, such as ["calculator"].')
  const { data: names } = named
  return names === undefined ? tools : tools.filter(({ name }) => names.includes(name))
}
