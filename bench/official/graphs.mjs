import * as langgraph from '@langchain/langgraph'
import { graphsOf } from '../project/graphs-of.ts'

export const { two_nodes, tool_loop, long_thread, asks } = graphsOf(langgraph)
