/** Our server, as the bench starts it: says where it is, and how much memory it has when it is asked. */
import { serve } from '@ate/core/server'

/** One identity speaks for all clients here, and makes all chains. */
const NO_RATE = { perSecond: 1e9, burst: 1e9 }

const { data, durability } = JSON.parse(process.argv[2] ?? '{}') as { data: string; durability: 'disk' | 'os' }
const server = await serve({
  listen: 'ws://127.0.0.1:0/db',
  data,
  durability,
  limits: {
    connectionsPerIdentity: 1e6,
    pending: 1e6,
    cookiesFromPending: 1e6,
    handshakes: NO_RATE,
    bytesPerIdentity: NO_RATE,
    commitsPerIdentity: NO_RATE,
    createPerIdentity: NO_RATE,
    chainsPerIdentity: 1e6,
  },
})
process.on('message', () => {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  process.send!({ heap: heapUsed + external })
})
process.on('disconnect', () => process.exit())
process.on('SIGTERM', () => void server.close().then(() => process.exit()))
process.send!({ url: server.url, key: server.fingerprint })
