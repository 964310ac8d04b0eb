/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/queue: jobs whose effects happen exactly once. The public names, listed by hand. */
import type { Chain, StandardSchema } from '@ate/core'
import { ownEnvironment } from './environment.ts'
import { QueueHandle } from './queue.ts'

export function queue(chain: any, name: string, options: any = {}): any {
  return new QueueHandle(chain, name, options, ownEnvironment)
}
export { AteError, createIdentity, isAteError, openChain, openIdentity } from '@ate/core'
