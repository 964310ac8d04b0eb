/** Where `ate serve` gets serve() from. Loaded when it is asked for: other commands do not wait for a server's code. */
import type { Serve } from '@ate/core/server'

export async function ownServe(): Promise<Serve> {
  const { serve } = await import('@ate/core/server')
  return serve
}
