/**
 * Topics at compile time. A bus is typed by a map of topics and payloads; a pattern resolves to the union of the topics
 * that it matches, so that `event.topic` narrows `event.data`.
 */
import type { StandardSchema } from '@ate/core'

/** Topics and their schemas: any Standard Schema library. */
export type TopicSchemas = Readonly<Record<string, StandardSchema>>

type TypesOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>
/** What is published, by topic. */
export type InputsOf<S extends TopicSchemas> = { [K in keyof S]: TypesOf<S[K]>['input'] }
/** What arrives, by topic. */
export type OutputsOf<S extends TopicSchemas> = { [K in keyof S]: TypesOf<S[K]>['output'] }

export type TopicOf<T> = keyof T & string

/** `*` is one token, `>` at the end one or more. */
type Matches<P extends string, K extends string> = P extends '>'
  ? true
  : P extends `${infer A}.${infer RestP}`
    ? K extends `${infer B}.${infer RestK}`
      ? A extends '*' | B
        ? Matches<RestP, RestK>
        : false
      : false
    : K extends `${string}.${string}`
      ? false
      : P extends '*' | K
        ? true
        : false

/** The topics of `K` that the pattern `P` matches. Where topics are not listed, any text. */
export type Match<P extends string, K extends string> = string extends K
  ? string
  : K extends unknown
    ? Matches<P, K> extends true
      ? K
      : never
    : never

/** A pattern that matches some topic; one that matches none is an error at compile time. */
export type PatternOf<P extends string, T> = [Match<P, TopicOf<T>>] extends [never] ? never : P
