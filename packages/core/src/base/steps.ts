/** Work that can stop between its steps, so that one caller goes on at once and another gives way to what else waits. */
export type Steps<T> = Generator<void, T, undefined>

/** All steps without a stop. */
export function atOnce<T>(steps: Steps<T>): T {
  let step = steps.next()
  while (!step.done) step = steps.next()
  return step.value
}

/** A pause after each step. */
export async function givingWay<T>(steps: Steps<T>, pause: () => Promise<void>): Promise<T> {
  let step = steps.next()
  for (; !step.done; step = steps.next()) await pause()
  return step.value
}
