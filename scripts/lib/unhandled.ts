/** For tests of promises that nobody waits for: the codes, or texts, of what `run` leaves unhandled. */
export async function unhandledIn(run: () => Promise<void>): Promise<string[]> {
  const heard: string[] = []
  const others = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', (error) => heard.push((error as { code?: string } | null)?.code ?? String(error)))
  try {
    await run()
    for (let i = 0; i < 20; i++) await new Promise((resume) => setImmediate(resume))
  } finally {
    process.removeAllListeners('unhandledRejection')
    for (const other of others) process.on('unhandledRejection', other)
  }
  return heard
}
