/** What handlers of these tests do, once for each job that is done. */
import { defineType, type EntityType } from '@ate/core'

export interface EffectOf {
  readonly job: string
  readonly fence: bigint
}
export const EffectOf: EntityType<EffectOf> = defineType('effect')
