import { createServer, type AddressInfo, type Socket } from 'node:net'

export interface SmtpServer {
  url: string
  /** Every mail that was taken, as it was sent. */
  mails: string[]
  close(): Promise<void>
}

/** As much of RFC 5321 as a sender needs, on loopback. */
export async function startSmtp(): Promise<SmtpServer> {
  const mails: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    talk(socket, mails)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mails,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function talk(socket: Socket, mails: string[]): void {
  let mail: string | undefined
  socket.write('220 test\r\n')
  socket.on('data', (chunk) => {
    const text = chunk.toString()
    if (mail !== undefined) {
      mail += text
      if (!mail.endsWith('\r\n.\r\n')) return
      mails.push(mail)
      mail = undefined
      socket.write('250 taken\r\n')
    } else if (text.startsWith('DATA')) {
      mail = ''
      socket.write('354 go on\r\n')
    } else if (text.startsWith('QUIT')) socket.end('221 bye\r\n')
    else socket.write('250 ok\r\n')
  })
}
