/** A line to a server that a test can cut: a port of this machine, and what goes through it. */
import { connect, createServer, type Server, type Socket } from 'node:net'

type Way = 'to the server' | 'from the server'

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

export class Line {
  readonly url: string
  /** Port of the server behind it, for connections from now on; without one they are refused. */
  target: number | undefined
  /** While this holds, what comes from the server is lost. */
  isDeaf: () => boolean = () => false
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  readonly #dropped = new Set<Way>()
  #isHeld = false

  private constructor(server: Server, url: string, target: number) {
    this.#server = server
    this.url = url
    this.target = target
  }

  /** `url` is the server's. */
  static async to(url: string): Promise<Line> {
    const { port, pathname } = new URL(url)
    const accept = (client: Socket): void => {
      if (line.target === undefined) client.destroy()
      else line.#join(client, connect(line.target, '127.0.0.1'))
    }
    const server = createServer(accept)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const own = typeof address === 'object' && address ? address.port : 0
    const line: Line = new Line(server, `ws://127.0.0.1:${own}${pathname}`, Number(port))
    return line
  }

  /** A partition: nothing passes, and nobody is told. */
  hold(): void {
    this.#isHeld = true
    for (const { client, server } of this.#pairs) for (const socket of [client, server]) socket.pause()
  }

  /** What was held passes on. */
  heal(): void {
    this.#isHeld = false
    for (const { client, server } of this.#pairs) for (const socket of [client, server]) socket.resume()
  }

  /** What goes one way from now on is lost: the line is broken in the end, but first it looks whole. */
  drop(way: Way): void {
    this.#dropped.add(way)
  }

  /** Breaks all connections; the next ones lose nothing. */
  sever(): void {
    this.#dropped.clear()
    for (const { client, server } of this.#pairs) for (const socket of [client, server]) socket.destroy()
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.sever()
    await closed
  }

  #join(client: Socket, server: Socket): void {
    const pair = { client, server }
    this.#pairs.add(pair)
    const end = (): void => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', end)
      if (this.#isHeld) socket.pause()
    }
    client.on('data', (bytes) => void (this.#dropped.has('to the server') || server.write(bytes)))
    server.on('data', (bytes) => void (this.#dropped.has('from the server') || this.isDeaf() || client.write(bytes)))
    if (this.#isHeld) this.hold()
  }
}
