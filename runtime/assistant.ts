import type { Allowed } from './allowed.ts'
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

export type AssistantChange = Partial<
  Pick<Assistant, 'graph_id' | 'name' | 'config' | 'context' | 'metadata'> & { description: string }
>

export interface AssistantFilter {
  graph_id?: string
  name?: string
  metadata?: Record<string, Json>
  allowed?: Allowed
  limit: number
  offset: number
  sort_by: 'assistant_id' | 'graph_id' | 'name' | 'created_at' | 'updated_at'
  sort_order: 'asc' | 'desc'
}

/** The assistant that every served graph has. The id follows from the graph's, so that it is the same everywhere. */
export function systemAssistantId(graphId: string): string {
  return nameUuid('assistant', graphId)
}
