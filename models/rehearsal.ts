import { startChatServer, type ChatServer } from './chat-protocol.ts'
import { answer } from './rehearsal/answer.ts'

export const REHEARSAL_MODEL = 'rehearsal'

/**
 * Starts the keyless model: rules behind the OpenAI chat-completions protocol on loopback, good enough to try
 * the product with. It is no intelligence, and says so in the fingerprint of every answer.
 */
export function startRehearsal({ port = 0 }: { port?: number } = {}): Promise<ChatServer> {
  return startChatServer({
    port,
    model: REHEARSAL_MODEL,
    fingerprint: 'rehearsal: rules, not a model',
    answer,
  })
}
