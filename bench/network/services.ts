/** All services by name. Each is loaded only in the process that needs it. */
import type { NetworkService } from './service.ts'

const LOADERS: Record<string, () => Promise<NetworkService>> = {
  ate: async () => (await import('./us.ts')).onDisk,
  'ate-os': async () => (await import('./us.ts')).inSystem,
  'redis-always': async () => (await import('./redis.ts')).always,
  'redis-everysec': async () => (await import('./redis.ts')).everySecond,
  jetstream: async () => (await import('./jetstream.ts')).service,
}

export const SERVICE_NAMES: readonly string[] = Object.keys(LOADERS)

export async function loadService(name: string): Promise<NetworkService> {
  const loader = LOADERS[name]
  if (!loader) throw new Error(`no service ${name}; there are ${SERVICE_NAMES.join(', ')}`)
  return loader()
}
