/**
 * One writer a folder, by a lock that ends with its process, without an add-on.
 *
 * - Linux: an abstract socket named by the folder's device and inode (atomic in one network namespace), and a socket
 *   LOCK in the folder, which a process in another namespace (a container) can ask whether somebody lives.
 * - macOS and BSD: the file LOCK opened with O_EXLOCK.
 * - Windows: a named pipe by the folder's file id.
 *
 * Between machines (a network disk) it does not hold; there the writer epoch in the manifest fences the older one.
 */
import { createHash } from 'node:crypto'
import { closeSync, constants, linkSync, openSync, statSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import type { FileLock } from '../log/file-system.ts'

const LOCK = 'LOCK'
const O_NONBLOCK = 0x4
const O_EXLOCK = 0x20
/** A socket that nobody serves refuses at once; this bounds a peer that hangs. */
const CONNECT_MS = 1000

/** Folders that this process holds, by their names: also while it takes the rest of a lock, when nobody else can have it. */
const heldHere = new Set<string>()

/** Whether it is this process that holds the folder's lock. */
export function isHeldHere(folder: string): boolean {
  return heldHere.has(folderName(folder))
}

/** Undefined if another holds it, this process included. Errors with an errno: the folder cannot be written. */
export async function lockFolder(folder: string): Promise<FileLock | undefined> {
  return noted(folder, await takeLock(folder))
}

function noted(folder: string, lock: FileLock | undefined): FileLock | undefined {
  if (!lock) return undefined
  const name = folderName(folder)
  heldHere.add(name)
  let isHeld = true
  return {
    async release() {
      try {
        await lock.release()
      } finally {
        // Once: another handle may have it by a second time.
        if (isHeld) heldHere.delete(name)
        isHeld = false
      }
    },
  }
}

async function takeLock(folder: string): Promise<FileLock | undefined> {
  switch (process.platform) {
    case 'linux':
    case 'android':
      return lockLinux(folder)
    case 'win32':
      return lockPipe(`\\\\.\\pipe\\ate-${folderName(folder)}`)
    default:
      return lockFile(folder)
  }
}

/** The same for every path that leads to the folder. */
function folderName(folder: string): string {
  const { dev, ino } = statSync(folder, { bigint: true })
  return createHash('sha256').update(`ate-lock ${dev} ${ino}`).digest('hex')
}

async function lockPipe(name: string): Promise<FileLock | undefined> {
  const server = await listen(name)
  return server && { release: () => stop(server) }
}

/**
 * As lockFolder, for one of many folders below `holder`, which this process holds. On Linux nothing stays open for it: the
 * socket of `holder` stands in the folder as well, and answers whoever asks there, for as long as this process lives.
 */
export async function lockBelow(folder: string, holder: string): Promise<FileLock | undefined> {
  return noted(folder, await takeBelow(folder, holder))
}

async function takeBelow(folder: string, holder: string): Promise<FileLock | undefined> {
  if (process.platform !== 'linux') return takeLock(folder)
  const held = await takeLinux(folder)
  if (!held) return undefined
  const { abstract, named, fd } = held
  if (!named) return lockOf(held)
  // Processes of this namespace are kept away by the abstract one meanwhile; one of another that comes in between has it.
  await stop(named)
  closeSync(fd)
  try {
    linkSync(join(holder, LOCK), join(folder, LOCK))
    return linkedLock(folder)
  } catch (error) {
    heldHere.delete(folderName(folder))
    if (codeOf(error) === 'EEXIST') return undefined
    if (!NO_LINKS.has(codeOf(error))) throw error
  } finally {
    await stop(abstract)
  }
  return takeLock(folder)
}

/** A disk without links, or with too many to one file. ENOENT: `holder` has no socket of its own. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'EMLINK', 'EXDEV', 'ENOENT'])

function linkedLock(folder: string): FileLock {
  let isHeld = true
  return {
    async release() {
      if (!isHeld) return
      isHeld = false
      unlinkSync(join(folder, LOCK))
    },
  }
}

async function lockLinux(folder: string): Promise<FileLock | undefined> {
  const held = await takeLinux(folder)
  return held && lockOf(held)
}

interface HeldSockets {
  readonly abstract: Server
  readonly named: Server | undefined
  /** Of the folder. */
  readonly fd: number
}

async function takeLinux(folder: string): Promise<HeldSockets | undefined> {
  const name = folderName(folder)
  const abstract = await listen(`\0ate-${name}`)
  if (!abstract) return undefined
  heldHere.add(name)
  // The address of a socket is at most 107 bytes: a path through the open folder is always short enough.
  let fd: number | undefined
  try {
    fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
    const named = await listenInFolder(folder, `/proc/self/fd/${fd}/${LOCK}`)
    if (named !== 'held') return { abstract, named, fd }
  } catch (error) {
    heldHere.delete(name)
    if (fd !== undefined) closeSync(fd)
    await stop(abstract)
    throw error
  }
  heldHere.delete(name)
  closeSync(fd)
  await stop(abstract)
  return undefined
}

function lockOf({ abstract, named, fd }: HeldSockets): FileLock {
  let released: Promise<void> | undefined
  const release = async (): Promise<void> => {
    // The socket in the folder goes first: while it is taken away nobody else can hold the lock.
    if (named) await stop(named)
    closeSync(fd)
    await stop(abstract)
  }
  return {
    release() {
      released ??= release()
      return released
    },
  }
}

/** The socket in the folder, 'held' if a process answers there, undefined on a disk that has no sockets. */
async function listenInFolder(folder: string, address: string): Promise<Server | 'held' | undefined> {
  if (await answers(address)) return 'held'
  try {
    unlinkSync(join(folder, LOCK))
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
  try {
    return (await listen(address)) ?? 'held'
  } catch (error) {
    if (['ENOTSUP', 'EOPNOTSUPP', 'EPERM', 'EINVAL', 'ENOENT'].includes(codeOf(error))) return undefined
    throw error
  }
}

/** Errors with an errno where nobody can say: a socket of another user, or no more files. */
function answers(address: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(address)
    const end = (isAlive: boolean): void => {
      socket.destroy()
      resolve(isAlive)
    }
    socket.setTimeout(CONNECT_MS, () => end(true))
    socket.once('connect', () => end(true))
    socket.once('error', (error) => {
      if (['EACCES', 'EMFILE', 'ENFILE'].includes(codeOf(error))) reject(error)
      else end(!['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'].includes(codeOf(error)))
    })
  })
}

/** Undefined if the address is taken. The server answers nothing and does not hold the process. */
function listen(address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    // For as long as it listens: an error without a listener would end the process.
    server.on('error', (error) => (codeOf(error) === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
    // exclusive: a cluster worker would otherwise share the socket of its siblings.
    server.listen({ path: address, exclusive: true }, () => {
      server.unref()
      resolve(server)
    })
  })
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
  })
}

function lockFile(folder: string): FileLock | undefined {
  let fd: number
  try {
    fd = openSync(join(folder, LOCK), constants.O_RDWR | constants.O_CREAT | O_NONBLOCK | O_EXLOCK, 0o600)
  } catch (error) {
    if (codeOf(error) === 'EAGAIN' || codeOf(error) === 'EWOULDBLOCK') return undefined
    throw error
  }
  let isHeld = true
  return {
    async release() {
      if (isHeld) closeSync(fd)
      isHeld = false
    },
  }
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code)
}
