import { connect, createServer, type Socket } from 'node:net'
import { once } from 'node:events'

/** The network between one server and PostgreSQL. */
export interface Proxy {
  port: number
  /** Breaks every connection. Returns how many there were. */
  cut(): number
  /** Holds back all that is sent from now on by so many milliseconds, in both directions. */
  delay(ms: number): void
  /** Delivers nothing, and takes no connection, until `heal`. */
  silence(): void
  heal(): void
  close(): Promise<void>
}

export async function startProxy(target: { host: string; port: number }): Promise<Proxy> {
  const pairs = new Set<[Socket, Socket]>()
  let delayMs = 0
  let silent = false
  let healed = Promise.withResolvers<void>()
  healed.resolve()

  const pump = (from: Socket, to: Socket) => {
    let last = Promise.resolve()
    from.on('data', (bytes) => {
      // A chain, so that what is sent after a delay ended does not overtake what it held back.
      const due = delayMs === 0 ? undefined : new Promise((done) => setTimeout(done, delayMs))
      last = last
        .then(() => due)
        .then(() => healed.promise)
        .then(() => void to.write(bytes))
    })
    from.on('error', () => {})
    from.on('close', () => to.destroy())
  }
  const server = createServer((client) => {
    client.setNoDelay(true)
    if (silent) {
      void healed.promise.then(() => client.destroy())
      client.on('error', () => {})
      return
    }
    const upstream = connect({ ...target, noDelay: true })
    const pair: [Socket, Socket] = [client, upstream]
    pairs.add(pair)
    pump(client, upstream)
    pump(upstream, client)
    client.on('close', () => pairs.delete(pair))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port.')

  const cut = () => {
    const count = pairs.size
    for (const [client, upstream] of pairs) {
      client.destroy()
      upstream.destroy()
    }
    return count
  }
  return {
    port: address.port,
    cut,
    delay(ms) {
      delayMs = ms
    },
    silence() {
      if (silent) return
      silent = true
      healed = Promise.withResolvers()
    },
    heal() {
      delayMs = 0
      silent = false
      healed.resolve()
    },
    async close() {
      healed.resolve()
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
