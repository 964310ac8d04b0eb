/** A client that breaks the rules: bytes on a TCP connection, and the frames of RFC 6455 by hand. */
import { connect, type Socket } from 'node:net'

export interface RawClient {
  readonly socket: Socket
  readonly received: () => Buffer
  readonly isClosed: () => boolean
  write(bytes: Uint8Array | string): void
  /** The code of the first close frame that came. */
  closeCode(): number | undefined
  destroy(): void
}

export function rawClient(url: string): RawClient {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const parts: Buffer[] = []
  let isClosed = false
  socket.on('data', (part) => parts.push(part))
  socket.on('error', () => undefined)
  socket.on('close', () => {
    isClosed = true
  })
  const received = (): Buffer => Buffer.concat(parts)
  return {
    socket,
    received,
    isClosed: () => isClosed,
    write: (bytes) => void socket.write(bytes),
    closeCode() {
      const bytes = received()
      const body = bytes.indexOf('\r\n\r\n') + 4
      for (let at = body; at >= 4 && at + 4 <= bytes.length; at += 2 + bytes[at + 1]!) {
        if (bytes[at] === 0x88) return bytes.readUInt16BE(at + 2)
      }
      return undefined
    },
    destroy: () => void socket.destroy(),
  }
}

export function upgradeText(path: string, headers: Readonly<Record<string, string>> = {}): string {
  const all = {
    Host: '127.0.0.1',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  return `GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
}

export interface FrameParts {
  readonly opcode: number
  readonly isFinal?: boolean
  readonly isMasked?: boolean
  /** The length that the header says, where it is not the body's. */
  readonly length?: number
  readonly reserved?: number
}

/** A frame; masked with zeros, so that the bytes are themselves. */
export function frame(body: Uint8Array, parts: FrameParts): Buffer {
  const { opcode, isFinal = true, isMasked = true, length = body.length, reserved = 0 } = parts
  const first = (isFinal ? 0x80 : 0) | reserved | opcode
  const mask = isMasked ? 0x80 : 0
  const head =
    length < 126
      ? Buffer.from([first, mask | length])
      : length < 65_536
        ? Buffer.from([first, mask | 126, length >> 8, length & 0xff])
        : Buffer.concat([Buffer.from([first, mask | 127, 0, 0, 0, 0]), u32(length)])
  return Buffer.concat([head, isMasked ? Buffer.alloc(4) : Buffer.alloc(0), body])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
