import { chatModel } from './chat.ts'
import { createGateway, type ModelGateway } from './gateway.ts'
import { startRehearsal } from './rehearsal.ts'

export interface ModelSettings {
  /** In order of preference. Empty: the rehearsal model. */
  models: string[]
  openaiApiKey: string | undefined
  openaiBaseUrl: string | undefined
}

/** The models that the settings name, or the rehearsal model in a server of its own, which `close` ends. */
export async function openModel({
  models,
  openaiApiKey: apiKey = 'none',
  openaiBaseUrl: baseUrl,
}: ModelSettings): Promise<{ model: ModelGateway; close: () => Promise<void> | void }> {
  if (models.length > 0) {
    const chats = models.map((model) =>
      chatModel({ model, apiKey, ...(baseUrl === undefined ? {} : { baseUrl }) }),
    )
    return { model: createGateway(chats), close: () => {} }
  }
  const rehearsal = await startRehearsal({})
  const chat = chatModel({ model: 'rehearsal', apiKey: 'rehearsal', baseUrl: rehearsal.url })
  return { model: createGateway([chat]), close: rehearsal.close }
}
