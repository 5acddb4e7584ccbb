import { reactGraph } from '../../../graphs/react.ts'
import { toolsNamed } from '../../../tools/registry.ts'

export const clerk = reactGraph({ tools: toolsNamed('sql_query', 'sql_execute') }).compile()
