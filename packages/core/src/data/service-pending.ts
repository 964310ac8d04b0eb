/** One call from its making until its caller has been told, and what a reply of failure tells him. */
import { AteError } from '../base/errors.ts'
import type { EntityId } from '../base/ids.ts'
import type { FailedCall } from './service-place.ts'
import { ServiceError } from './service-type.ts'

/** What a service may answer besides a reply: of newer ones, whatever we do not know is a failure. */
const FAILURES = ['NOT_AUTHORIZED', 'NO_PROCEDURE', 'BAD_VALUE', 'VALUE_TOO_LARGE', 'HANDLER_FAILED'] as const

export interface SlotHandle {
  readonly name: string
  /** Known once it was written. */
  id: EntityId | undefined
  /** Monotonic time; undefined if nothing stands in it. */
  readAt: number | undefined
}

export class Pending {
  readonly call: string
  readonly procedure: string
  readonly input: unknown
  readonly timeoutMs: number
  slot: SlotHandle | undefined
  state: 'new' | 'asking' | 'asked' | 'over' = 'new'
  /** Resolves when the caller has been told. */
  readonly over: Promise<void>
  stop: () => void = () => undefined
  readonly #settle: { readonly resolve: (reply: unknown) => void; readonly reject: (error: unknown) => void }
  #end: () => void = () => undefined
  #told = false

  constructor(
    asked: Pick<Pending, 'call' | 'procedure' | 'input' | 'timeoutMs'>,
    settle: { readonly resolve: (reply: unknown) => void; readonly reject: (error: unknown) => void },
  ) {
    this.call = asked.call
    this.procedure = asked.procedure
    this.input = asked.input
    this.timeoutMs = asked.timeoutMs
    this.#settle = settle
    this.over = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  get isTold(): boolean {
    return this.#told
  }

  resolve(reply: unknown): void {
    if (this.#tell()) this.#settle.resolve(reply)
  }

  reject(error: unknown): void {
    if (this.#tell()) this.#settle.reject(error)
  }

  #tell(): boolean {
    if (this.#told) return false
    this.#told = true
    this.stop()
    this.#end()
    return true
  }
}

/** What the caller is told. */
export function errorOfReply(
  { code, facts }: FailedCall,
  of: { readonly service: string; readonly procedure: string; readonly call: string },
): AteError {
  const { reason, text, ...others } = facts
  if (code === 'SERVICE_ERROR' && reason) return new ServiceError(reason, text ?? '', of)
  const known = FAILURES.find((one) => one === code) ?? 'HANDLER_FAILED'
  return new AteError(known, { ...others, ...of, by: 'service' })
}
