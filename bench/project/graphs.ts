import * as langgraph from '@langchain/langgraph'
import { graphsOf } from './graphs-of.ts'

export const graphs = graphsOf(langgraph)
export const { two_nodes, tool_loop, long_thread, asks } = graphs
