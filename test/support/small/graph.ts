import { reactGraph } from '../../../graphs/react.ts'
import { toolsNamed } from '../../../tools/registry.ts'

const tools = toolsNamed('calculator', 'current_time', 'ask_human', 'remember', 'recall')

export const helper = reactGraph({ tools }).compile()
