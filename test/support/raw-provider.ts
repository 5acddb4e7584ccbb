import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A tool call as a careless provider sends it: without an id, with one that was there before, with broken arguments. */
export interface RawCall {
  id?: string
  name?: string
  arguments?: string
}

export interface RawProvider {
  /** For `OPENAI_BASE_URL`. */
  url: string
  /** The bodies of the requests so far. */
  requests: { messages: { role: string; content?: unknown; tool_call_id?: string }[] }[]
  play(...answers: ({ calls: RawCall[] } | { content: string })[]): void
  close(): Promise<void>
}

/** A model that sends what no well-behaved one would: the scripted model mends ids and arguments, this one does not. */
export async function startRawProvider(): Promise<RawProvider> {
  const requests: RawProvider['requests'] = []
  let answers: ({ calls: RawCall[] } | { content: string })[] = []
  const server: Server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(pieces).toString()) as RawProvider['requests'][number]
      requests.push(body)
      const answer = answers.shift() ?? { content: 'The script is over.' }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const delta of deltasOf(answer)) {
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

function deltasOf(answer: { calls: RawCall[] } | { content: string }): object[] {
  if ('content' in answer) return [{ role: 'assistant', content: answer.content }]
  return [
    { role: 'assistant', content: null },
    ...answer.calls.map(({ id, name, arguments: text }, index) => ({
      tool_calls: [
        {
          index,
          type: 'function',
          ...(id === undefined ? {} : { id }),
          function: { ...(name === undefined ? {} : { name }), arguments: text ?? '' },
        },
      ],
    })),
  ]
}
