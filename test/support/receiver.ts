import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'

/** A webhook as it arrived. */
export interface Delivery {
  path: string
  id: string
  headers: Record<string, string>
  body: string
  event: { type: string; timestamp: string; data: Record<string, unknown> }
}

export type Answer = (response: ServerResponse) => void

export interface Receiver {
  url: string
  /** As HOLDPOINT_WEBHOOK_HOSTS names it. */
  host: string
  received: Delivery[]
  at(path: string): Delivery[]
  /** What the next webhooks at that path are answered, in order; 204 where none is left. */
  answer(path: string, ...answers: Answer[]): void
  answers: Map<string, Answer[]>
  close(): void
}

/** Takes webhooks, as a user's server would. `port`: else any that is free. `address`: else 127.0.0.1 alone. */
export async function startReceiver(port = 0, address = '127.0.0.1'): Promise<Receiver> {
  const received: Delivery[] = []
  const answers = new Map<string, Answer[]>()
  const server = createServer((request, response) => {
    void take(request).then((delivery) => {
      received.push(delivery)
      const answer = answers.get(delivery.path)?.shift() ?? ((one) => one.writeHead(204).end())
      answer(response)
    })
  })
  server.listen(port, address)
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `http://${host}`,
    host,
    received,
    answers,
    at: (path) => received.filter((one) => one.path === path),
    answer(path, ...more) {
      answers.set(path, [...(answers.get(path) ?? []), ...more])
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(code, headers).end('nothing that anybody reads')

export const hangUp: Answer = (response) => response.destroy()

/** What a receiver does first. Throws where nobody with the secret has signed it. */
export function verified(secret: string, { body, headers }: Pick<Delivery, 'body' | 'headers'>): unknown {
  return new Webhook(secret).verify(body, headers)
}

async function take(request: IncomingMessage): Promise<Delivery> {
  let body = ''
  for await (const chunk of request) body += String(chunk)
  const headers = request.headers as Record<string, string>
  return {
    path: request.url ?? '',
    id: headers['webhook-id'] ?? '',
    headers,
    body,
    event: JSON.parse(body) as Delivery['event'],
  }
}
