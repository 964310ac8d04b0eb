/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/bus: typed topics on a chain. The public names, listed by hand. */
export type { Effect, Effects, TxTarget } from '@ate/core'
export { AteError, createIdentity, defineType, isAteError, openChain, openIdentity } from '@ate/core'
export { type Bus, type BusOptions, bus, type SubscriptionInfo, type TopicInfo } from './bus.ts'
export type { Order } from './bus-records.ts'
export type { RetainOptions, RetryOptions } from './bus-rules.ts'
export type { BusEnvironment } from './environment.ts'
export type { BusErrorCode } from './errors.ts'
export type {
  BusEvent,
  Cursor,
  DeadEvent,
  DeliveryFor,
  EventFor,
  LiveEventFor,
} from './event-types.ts'
export type { Listener, ListenOptions } from './listener.ts'
export type { From } from './log-reader.ts'
export type { BusObservation, BusObserver, BusOperation } from './observing.ts'
export type { Published, PublishOptions } from './publishing.ts'
export type { ReplayOptions } from './replay.ts'
export type { RequestOptions, RespondOptions } from './requests.ts'
export type { SubscribeOptions } from './subscribe-options.ts'
export type { Lag, Subscription } from './subscription.ts'
export type { InputsOf, Match, OutputsOf, TopicSchemas } from './topic-types.ts'
