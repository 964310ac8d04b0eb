/**
 * A token bucket: `perSecond` on average, `burst` at once. Time is given, in ms of a clock that never goes back, so that
 * it needs no timer; one bucket is two numbers.
 */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

export interface Bucket {
  tokens: number
  atMs: number
}

export function fullBucket({ burst }: Rate, nowMs: number): Bucket {
  return { tokens: burst, atMs: nowMs }
}

/** Takes one if there is one. Undefined if it was taken, else the ms until there will be one; then nothing is taken. */
export function takeOne(bucket: Bucket, rate: Rate, nowMs: number): number | undefined {
  refill(bucket, rate, nowMs)
  if (bucket.tokens < 1 - ROUNDING) return msUntil(1 - bucket.tokens, rate)
  bucket.tokens -= 1
  return undefined
}

/**
 * Takes `count` of what has come already, also on credit: the ms after which the credit is paid back, for which nothing
 * more should be taken in. 0 without credit.
 */
export function takeAll(bucket: Bucket, rate: Rate, count: number, nowMs: number): number {
  refill(bucket, rate, nowMs)
  bucket.tokens -= count
  return bucket.tokens >= 0 ? 0 : msUntil(-bucket.tokens, rate)
}

/** Sums of fractions fall a little short: who waited as long as he was told must not be told to wait again. */
const ROUNDING = 1e-9

function refill(bucket: Bucket, { perSecond, burst }: Rate, nowMs: number): void {
  const passedMs = Math.max(0, nowMs - bucket.atMs)
  bucket.tokens = Math.min(burst, bucket.tokens + (passedMs * perSecond) / 1000)
  bucket.atMs = Math.max(bucket.atMs, nowMs)
}

function msUntil(tokens: number, { perSecond }: Rate): number {
  return Math.ceil((tokens * 1000) / perSecond)
}
