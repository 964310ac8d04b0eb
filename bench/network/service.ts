/**
 * What the bench asks of a server and its clients, ours and the peers'. A server runs in a process of its own, and so does
 * each client. A commit has happened when its promise resolves: at that point it must be as safe as `durability` says.
 */
import type { Durability } from '../engine.ts'

/** What a client needs to connect, as plain text that goes to other processes. */
export type Address = Readonly<Record<string, string>>

export interface Memory {
  readonly resident: number
  /** Heap and buffers after a forced collection, where the server tells. */
  readonly heap?: number
}

export interface Running {
  readonly pid: number
  readonly address: Address
  memory(): Promise<Memory>
  stop(): Promise<void>
}

export interface NetworkClient {
  /** One durable commit of one value. */
  commit(value: string): Promise<unknown>
  /** All of `values`, as one transaction where there is such a thing. */
  commitAll(values: readonly string[]): Promise<unknown>
  /** Each value that is committed from here on, by whomever. Resolves when that is so. */
  follow(onValue: (value: string) => void): Promise<void>
  close(): Promise<unknown>
}

export interface Connecting {
  readonly address: Address
  /** This client's own. */
  readonly folder: string
  /** What the log holds is made by the first client. */
  readonly role: 'first' | 'another'
}

export interface NetworkService {
  readonly name: string
  readonly durability: Durability
  /** What a reader must know to compare fairly, in one line. */
  readonly note: string
  start(folder: string): Promise<Running>
  connect(options: Connecting): Promise<NetworkClient>
  /** A new reader takes all that there is; how many values he has then. */
  readAll(options: Connecting, expected: number): Promise<number>
  /** A connection that does nothing, as cheap for its own process as can be. */
  idle(address: Address): Promise<{ close(): void }>
  /** A connection whose end has shown who it is, opened and closed. */
  shake?(address: Address): Promise<void>
  /** Chains of their own, made and kept open by one connection. */
  openChains?(address: Address, first: number, count: number): Promise<void>
}
