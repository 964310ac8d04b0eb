/** A process of the shop, which main.ts starts: `server`, `web` or `worker`. It ends with the one that has started it. */
import { join } from 'node:path'
import { serve } from '@ate/core/server'
import { connect, runWeb, runWorker, type Setting } from './parts.ts'

/** What it tells when it is ready. */
export interface Ready {
  readonly port: number
  readonly url?: string
  readonly serverKey?: string
}

const [name, text] = process.argv.slice(2)
const setting: Setting = JSON.parse(text!)
const running = await start()

let isClosing = false
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void close())
process.once('disconnect', () => process.exit(1))
process.send!(running.ready)

async function start(): Promise<{ readonly ready: Ready; readonly close: () => Promise<void> }> {
  if (name === 'server') {
    const server = await serve({ listen: setting.place, data: join(setting.data, 'served') })
    return { ready: { port: 0, url: server.url, serverKey: server.fingerprint }, close: () => server.close() }
  }
  const who = name === 'web' ? 'web' : 'worker'
  const shop = await connect(who, setting)
  const { port, close } = await (who === 'web' ? runWeb(shop, setting) : runWorker(shop, setting))
  return { ready: { port }, close }
}

async function close(): Promise<void> {
  if (isClosing) return
  isClosing = true
  await running.close()
  process.exit()
}
