import { existsSync, writeFileSync } from 'node:fs'
import type { Tool as Offered } from '@modelcontextprotocol/client'
import { z } from 'zod'
import { argsHash } from '../../runtime/call.ts'
import { toJson } from '../../runtime/json.ts'
import { readJson } from './settings.ts'

/** What a model is told of a tool, and what the tool is asked with: all that can steer whoever reads it. */
const Definition = z.strictObject({
  name: z.string(),
  title: z.string().optional(),
  description: z.string().default(''),
  inputSchema: z.record(z.string(), z.json()),
  outputSchema: z.record(z.string(), z.json()).optional(),
  annotations: z.record(z.string(), z.json()).optional(),
})
export type Definition = z.output<typeof Definition>

const Pin = z.strictObject({ sha256: z.string(), definition: Definition })
export type Pin = z.output<typeof Pin>

/** By server, by tool. */
const Pins = z.record(z.string(), z.record(z.string(), Pin))
export type Pins = z.output<typeof Pins>

/** `holdpoint.mcp.json` has its pins in `holdpoint.mcp.lock.json`. */
export function pinsFileOf(file: string): string {
  return `${file.replace(/\.json$/, '')}.lock.json`
}

/** Throws where a definition is not the one that its hash is of. */
export function readPins(file: string): Pins {
  const path = pinsFileOf(file)
  if (!existsSync(path)) return {}
  const parsed = Pins.safeParse(readJson(path))
  if (!parsed.success) throw new Error(`${path} cannot be used. Delete it, and run: holdpoint mcp approve`)
  for (const [server, tools] of Object.entries(parsed.data))
    for (const [tool, { sha256, definition }] of Object.entries(tools))
      if (hashOf(definition) !== sha256)
        throw new Error(
          `${path}: the definition of ${server}/${tool} is not the one that was approved. Run: holdpoint mcp approve`,
        )
  return parsed.data
}

export function writePins(file: string, pins: Pins): void {
  writeFileSync(pinsFileOf(file), `${JSON.stringify(pins, null, 2)}\n`)
}

/** What a server offers, as it is pinned. What else it says of a tool reaches nobody. */
export function pinOf({ name, title, description, inputSchema, outputSchema, annotations }: Offered): Pin {
  const definition = Definition.parse(
    toJson({ name, title, description, inputSchema, outputSchema, annotations }),
  )
  return { sha256: hashOf(definition), definition }
}

function hashOf(definition: Definition): string {
  return argsHash(toJson(definition))
}
