import type { AIMessage, BaseMessage } from '@langchain/core/messages'
import type { RunnableConfig } from '@langchain/core/runnables'
import { currentRun } from '../runtime/run-context.ts'
import { serviceKey } from '../runtime/services.ts'
import { chatModel } from './chat.ts'

export interface ModelRequest {
  messages: BaseMessage[]
  /** In the OpenAI form: `{type: 'function', function: {name, description, parameters}}`. */
  tools?: OpenAITool[]
  /** The answer is JSON of this schema. */
  format?: { name: string; schema: Record<string, unknown> }
}

export interface OpenAITool {
  type: 'function'
  function: { name: string; description: string; parameters: Record<string, unknown> }
}

/** Asks a model. Which one, and what happens when it fails, is not the node's business. */
export interface ModelGateway {
  invoke(request: ModelRequest, config: RunnableConfig): Promise<AIMessage>
}

export const MODEL = serviceKey<ModelGateway>('model')

/** The model of the run; without a run, what OpenAI's own environment variables name. */
export function currentModel(): ModelGateway {
  return currentRun()?.services.find(MODEL) ?? createGateway([chatModel({ model: 'gpt-5-mini' })])
}

interface ChatModel {
  invoke(messages: BaseMessage[], options: Record<string, unknown>): Promise<AIMessage>
}

/** Tries the models in order; the first that answers counts. A cancelled call is not tried again. */
export function createGateway(models: ChatModel[]): ModelGateway {
  return {
    async invoke({ messages, tools, format }, config) {
      const options = {
        ...config,
        ...(tools === undefined || tools.length === 0 ? {} : { tools }),
        ...(format === undefined
          ? {}
          : {
              response_format: {
                type: 'json_schema',
                json_schema: { name: format.name, schema: format.schema, strict: true },
              },
            }),
      }
      const errors: unknown[] = []
      for (const model of models) {
        try {
          return await model.invoke(messages, options)
        } catch (error) {
          if (config.signal?.aborted === true) throw error
          errors.push(error)
        }
      }
      throw new ModelError(errors)
    },
  }
}

/** No model answered. The causes, in order of the models, are in `errors`. */
export class ModelError extends AggregateError {
  constructor(errors: unknown[]) {
    const last = errors.at(-1)
    super(errors, `No model answered: ${last instanceof Error ? last.message : String(last)}`)
    this.name = 'ModelError'
  }
}
