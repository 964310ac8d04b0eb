/** What observers are told with every observation, under the names that OpenTelemetry has for messaging. */
import type { AteError } from '@ate/core'
import type { Messaging } from './queue-types.ts'

export function messagingOf(queue: string, operation: string, type?: 'send' | 'process'): Messaging {
  return {
    'messaging.system': 'ate',
    'messaging.destination.name': queue,
    'messaging.operation.name': operation,
    ...(type === undefined ? {} : { 'messaging.operation.type': type }),
  }
}

/** The value of `error.type`: a code of ours, or the name of the class. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return (error as Partial<AteError>).code ?? error.name
}
