import { RuntimeError } from '../runtime/errors.ts'
import { ToolError } from './define.ts'

/** Gives the model what the workspace said, so that it can choose another path or write less. */
export async function forModel<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof RuntimeError) throw new ToolError('INVALID_ARGS', error.message, { cause: error })
    throw error
  }
}
