/** Where `ate serve` gets serve() from. Loaded when it is asked for: other commands do not wait for a server's code. */
import { AteError } from '@ate/core'
import type { Serve } from '@ate/core/server'

export async function ownServe(): Promise<Serve> {
  const { serve } = (await import('@ate/core/server')) as { readonly serve?: Serve }
  if (!serve) throw new AteError('INTERNAL', { what: '@ate/core/server has no serve' })
  return serve
}
