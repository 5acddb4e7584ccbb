import { type BaseStore, getStore } from '@langchain/langgraph'
import { currentRun } from '../runtime/run-context.ts'
import { ToolError } from './define.ts'

/**
 * What `remember` keeps: in the store of the run's tenant, below whoever the run is for. Where several had a part in it
 * there is no one whose memory it could be.
 */
export function memoryOf(): { store: BaseStore; namespace: [string, string] } {
  const requester = currentRun()?.requester
  if (requester == null)
    throw new ToolError('DENIED', 'Several people had a part in this run, so it has nobody’s memory.')
  const store = getStore()
  if (store === undefined) throw new ToolError('DENIED', 'This agent runs without a store.')
  return { store, namespace: ['memories', labelOf(requester)] }
}

/** Labels of the store have no dots. */
function labelOf(identity: string): string {
  return encodeURIComponent(identity.toWellFormed()).replaceAll('.', '%2E')
}
