/** Groups of tabs: one leads, and answers what the others send with its own name before it. */
import { isAteError } from '../../../src/base/errors.ts'
import type { Leadership, Tabs } from '../../../src/base/sharing.ts'
import { CLOSE, type Socket } from '../../../src/base/socket.ts'
import { joinTabs } from '../../../src/browser/tabs.ts'
import * as ate from '../../../src/index.ts'
import { type SocketHarness, socketSuite } from '../../../src/testing/socket-suite.ts'
import { type Outcome, runTests } from './runner.ts'

let count = 0
const groups = new Map<string, Tabs>()
let socket: Socket | undefined
let answers: string[] = []
let end: number | undefined

/** The contract suite of transports: both ends in this page, which makes no difference to them. */
export function sockets(): Promise<Outcome[]> {
  return runTests((runner) => socketSuite(runner, harness))
}

async function harness(): Promise<SocketHarness> {
  const accepted: Socket[] = []
  const name = `suite-${count++}`
  const failed = (error: unknown): never => {
    throw error
  }
  const lead = async (): Promise<Leadership> => ({
    accept: (taken) => void accepted.push(taken),
    close: () => Promise.resolve(),
  })
  const leader = joinTabs({ name, lead, failed })
  while (!leader.isLeader) await new Promise((resume) => setTimeout(resume, 1))
  const tabs = joinTabs({ name, lead, failed })
  return {
    pauses: 'both',
    async connect() {
      const client = await tabs.reach()
      return { client: client!, server: accepted.at(-1)! }
    },
    async until(done, what) {
      const start = performance.now()
      while (!done()) {
        if (performance.now() - start > 20_000) throw new Error(`waited in vain for ${what}`)
        await new Promise((resume) => setTimeout(resume, 1))
      }
    },
    async dispose() {
      await tabs.close()
      await leader.close()
    },
  }
}

/** Joins; the leader answers with what it leads, and `me`. Of a group `cold` that is nothing, else a chain of that name. */
export function join(name: string, me: string): void {
  const lead = async (): Promise<Leadership> => {
    const chain = name === 'cold' ? undefined : await ate.openChain(`indexeddb:${name}`)
    return {
      accept: (taken) =>
        taken.start({
          message: (bytes) =>
            taken.send(
              new TextEncoder().encode(`${me} ${(chain?.head.seq ?? 0) >= 0} ${new TextDecoder().decode(bytes)}`),
            ),
          closed() {},
          drained() {},
        }),
      close: async () => chain?.close(),
    }
  }
  groups.set(
    name,
    joinTabs({
      name,
      lead,
      failed(error) {
        throw error
      },
    }),
  )
}

export function isLeader(name: string): boolean {
  return groups.get(name)!.isLeader
}

/** The socket to the leader is kept, and what it answers; `leads` if it is this tab. */
export async function dial(name: string, timeoutMs = 10_000): Promise<string> {
  try {
    socket = await groups.get(name)!.reach({ timeout: timeoutMs })
  } catch (error) {
    if (isAteError(error)) return error.code
    throw error
  }
  if (!socket) return 'leads'
  answers = []
  end = undefined
  socket.start({
    message: (bytes) => void answers.push(new TextDecoder().decode(bytes)),
    closed({ code }) {
      end = code
    },
    drained() {},
  })
  return 'connected'
}

export function say(text: string): void {
  socket!.send(new TextEncoder().encode(text))
}

export function heard(): { readonly answers: readonly string[]; readonly end: number | undefined } {
  return { answers, end }
}

export function hangUp(): void {
  socket!.close(CLOSE.NORMAL, '')
}

export async function leave(name: string): Promise<void> {
  await groups.get(name)!.close()
}
