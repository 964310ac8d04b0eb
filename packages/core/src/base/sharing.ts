/**
 * Processes of one machine, or tabs of one origin, that share something which one of them at a time may have: a chain in a
 * folder. One of them leads; the others reach it over sockets, in the same protocol as a server. When the leader closes or
 * dies, another one leads, and those that had dialed the old leader see their sockets close, and dial again.
 */
import type { AteError } from './errors.ts'
import type { DialOptions, Socket } from './socket.ts'

export interface SharingOptions {
  /** Those who give the same name are of one group: the place of what they share. */
  readonly name: string
  /**
   * Called when this one is to lead: takes what is shared, of which there is one. The others wait until then. It gives the
   * leadership up, and all trying, by calling `resign`: why is what `dial` throws here from then on.
   * @throws AteError CHAIN_LOCKED where another has it, and what is told to `dial` here
   */
  readonly lead: (resign: (why: AteError) => void) => Promise<Leadership>
}

export interface Leadership {
  /** Takes the socket of another one, or of this one. */
  readonly accept: (socket: Socket) => void
  /** Gives what is shared back, so that the next leader can take it. */
  readonly close: () => Promise<void>
}

export interface Sharing {
  /** This one leads, and takes the others' sockets. */
  readonly isLeader: boolean
  /**
   * A socket to the leader, as soon as there is one.
   * @throws AteError CHAIN_LOCKED (somebody has what is shared, and shares it with nobody) | CHAIN_CLOSED; what `lead`
   * throws; the signal's reason
   */
  dial(options?: Pick<DialOptions, 'signal' | 'timeout'>): Promise<Socket>
  /** Leaves the group. The sockets of a leader are closed, and what it shares. */
  close(): Promise<void>
}

/** @throws AteError BAD_ARGUMENT | BAD_URL where nothing can be shared */
export type Share = (options: SharingOptions) => Promise<Sharing>

/** Tabs of one origin that share a connection: what the leader takes is a way to it, and nothing that two may not have. */
export interface TabsOptions {
  /** Tabs that give the same name are of one group: the place of what they share. */
  readonly name: string
  /** Called once this tab leads. If it throws, another tab leads. */
  readonly lead: () => Promise<Leadership>
  /** What `lead` threw. */
  readonly failed: (error: unknown) => void
}

export interface Tabs {
  /** This tab leads, and takes the others' sockets. */
  readonly isLeader: boolean
  /**
   * A socket to the leader, as soon as there is one; undefined if it is this tab. A leader that does not answer, because the
   * browser has frozen it, is put down.
   * @throws AteError SERVER_UNREACHABLE (nobody leads within `timeout`) | CHAIN_CLOSED; the signal's reason
   */
  reach(options?: Pick<DialOptions, 'signal' | 'timeout'>): Promise<Socket | undefined>
  /** Leaves the group. The sockets of a leader are closed, and what it shares; those that were dialed stay. */
  close(): Promise<void>
}

/** @throws AteError BAD_URL where there are no Web Locks */
export type JoinTabs = (options: TabsOptions) => Promise<Tabs>
