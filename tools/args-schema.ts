import { z } from 'zod'
import type { Json } from '../runtime/json.ts'
import type { Tool } from './define.ts'

/** Characters of its JSON: it goes into the state, the hold and every answer that has the hold. */
const MAX_SCHEMA = 32_768

/**
 * What a tool takes, as JSON Schema, for whoever edits a call without having the tool. It says less than the tool's own
 * schema does: of a transform what goes in, of a refinement nothing. Null where it cannot be written, or is too long.
 */
export function argsSchemaOf({ schema }: Pick<Tool, 'schema'>): Json {
  let written: Json
  try {
    written = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Json
  } catch {
    return null
  }
  return JSON.stringify(written).length > MAX_SCHEMA ? null : written
}

/** Reads arguments by what a hold says that its tool takes. `undefined` where that says nothing that can be asked. */
export function schemaFrom(written: Json): z.ZodObject | undefined {
  if (typeof written !== 'object' || written === null) return undefined
  try {
    const schema = z.fromJSONSchema(written as Parameters<typeof z.fromJSONSchema>[0])
    return schema instanceof z.ZodObject ? schema : undefined
  } catch {
    return undefined
  }
}
