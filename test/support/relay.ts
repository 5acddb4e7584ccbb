import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands between a client and a server, and breaks every connection when it is told to. */
export interface Relay {
  url: string
  /** Ends all connections as a network does that is gone. New ones are taken. */
  cut(): void
  /** Where new connections go from now on. */
  turn(url: string): void
  close(): Promise<void>
}

export async function startRelay(url: string): Promise<Relay> {
  let target = new URL(url)
  const open = new Set<Socket>()
  const server = createServer((from) => {
    const to = connect(Number(target.port), target.hostname)
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ] as const) {
      open.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        open.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of open) socket.resetAndDestroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    turn(next) {
      target = new URL(next)
    },
    async close() {
      server.close()
      cut()
      await once(server, 'close')
    },
  }
}
