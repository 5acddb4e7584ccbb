import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A tool call as a careless provider sends it: without an id, with one that was there before, with broken arguments. */
export interface RawCall {
  id?: string
  name?: string
  arguments?: string
}

/** What a provider says: calls, words, or words piece by piece, each sent when it comes. Where one throws, it breaks off. */
export type RawAnswer = { calls: RawCall[] } | { content: string | AsyncIterable<string> }

export interface RawProvider {
  /** For `OPENAI_BASE_URL`. */
  url: string
  /** The bodies of the requests so far. */
  requests: { messages: { role: string; content?: unknown; tool_call_id?: string }[] }[]
  play(...answers: RawAnswer[]): void
  close(): Promise<void>
}

/** A model that sends what no well-behaved one would: the scripted model mends ids and arguments, this one does not. */
export async function startRawProvider(): Promise<RawProvider> {
  const requests: RawProvider['requests'] = []
  let answers: RawAnswer[] = []
  const server: Server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(pieces).toString()) as RawProvider['requests'][number]
      requests.push(body)
      void send(response, answers.shift() ?? { content: 'The script is over.' }).catch(() =>
        response.destroy(),
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    play(...next) {
      answers = next
      requests.length = 0
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function send(response: ServerResponse, answer: RawAnswer): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for await (const delta of deltasOf(answer)) {
    const chunk = {
      // The same for every message, as some gateways send it.
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 0,
      model: 'raw',
      choices: [{ index: 0, delta, finish_reason: null }],
    }
    response.write(`data: ${JSON.stringify(chunk)}\n\n`)
  }
  response.end('data: [DONE]\n\n')
}

async function* deltasOf(answer: RawAnswer): AsyncGenerator<object> {
  if ('content' in answer) {
    const pieces = typeof answer.content === 'string' ? [answer.content] : answer.content
    for await (const content of pieces) yield { role: 'assistant', content }
    return
  }
  yield { role: 'assistant', content: null }
  for (const [index, { id, name, arguments: text }] of answer.calls.entries()) {
    const called = { ...(name === undefined ? {} : { name }), arguments: text ?? '' }
    yield { tool_calls: [{ index, type: 'function', ...(id === undefined ? {} : { id }), function: called }] }
  }
}
