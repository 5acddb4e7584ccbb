import type { Json } from './json.ts'
import { nameUuid } from './ids.ts'

/** A graph with settings, as clients see it. */
export interface Assistant {
  assistant_id: string
  graph_id: string
  name: string
  description: string | null
  config: Record<string, Json>
  context: Record<string, Json>
  metadata: Record<string, Json>
  version: number
  created_at: string
  updated_at: string
}

/** The assistant that every served graph has. The id follows from the graph's, so that it is the same everywhere. */
export function systemAssistantId(graphId: string): string {
  return nameUuid('assistant', graphId)
}
