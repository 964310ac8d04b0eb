/**
 * Messages into frames: what is said in one turn shares a frame, and a frame is sealed once. A record and the answer to who
 * submitted it are said a few microtasks apart, so a frame waits for that long.
 */
import type { Socket } from '../base/socket.ts'
import { ByteWriter } from '../codec/writer.ts'
import type { Wire } from './wire.ts'

/** A frame is sent once it is this full; one message more may still be in it, and that fits. */
const FRAME_BYTES = 64 * 1024
/** Buffers that no connection uses now. One is used from the first message of a frame until the frame is sealed. */
const SPARE_MAX = 16
/** Microtasks from the first message of a frame until it goes. */
const FLUSH_TICKS = 4

const spare: ByteWriter[] = []

export class FrameSender<Message> {
  readonly #socket: Pick<Socket, 'bufferedBytes'> & { send(bytes: Uint8Array): unknown }
  readonly #wire: Wire
  readonly #write: (out: ByteWriter, message: Message) => void
  #out: ByteWriter | undefined
  #scheduled = false
  #closed = false

  constructor(
    socket: Pick<Socket, 'bufferedBytes'> & { send(bytes: Uint8Array): unknown },
    wire: Wire,
    write: (out: ByteWriter, message: Message) => void,
  ) {
    this.#socket = socket
    this.#wire = wire
    this.#write = write
  }

  /** Handed to the socket, or about to be. */
  get bufferedBytes(): number {
    return this.#socket.bufferedBytes + (this.#out?.at ?? 0)
  }

  send(message: Message): void {
    if (this.#closed) return
    this.#out ??= spare.pop() ?? new ByteWriter(FRAME_BYTES * 2)
    this.#write(this.#out, message)
    if (this.#out.at >= FRAME_BYTES) this.flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      this.#flushIn(FLUSH_TICKS)
    }
  }

  #flushIn(ticks: number): void {
    queueMicrotask(() => {
      // Sent meanwhile, by who could not wait.
      if (!this.#scheduled) return
      if (ticks > 1) this.#flushIn(ticks - 1)
      else this.flush()
    })
  }

  /** Messages that somebody else has put into one frame, behind what was said so far. */
  sendFrame(messages: Uint8Array): void {
    if (this.#closed) return
    this.flush()
    this.#socket.send(this.#wire.seal(messages))
  }

  /** What was said so far is on its way when this returns. */
  flush(): void {
    this.#scheduled = false
    const out = this.#out
    if (this.#closed || !out) return
    this.#out = undefined
    const frame = this.#wire.seal(out.bytes())
    giveBack(out)
    this.#socket.send(frame)
  }

  close(): void {
    this.#closed = true
    this.#out = undefined
  }
}

/** Thousands of connections that say nothing have no buffer. One that has grown for a large message goes. */
function giveBack(out: ByteWriter): void {
  if (spare.length === SPARE_MAX || out.buffer.length > FRAME_BYTES * 2) return
  out.reset()
  spare.push(out)
}
