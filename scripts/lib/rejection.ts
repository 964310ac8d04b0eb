/** What `run` throws, at once or later; undefined if it does not. */
export async function rejectionOf(run: () => unknown): Promise<unknown> {
  try {
    await run()
    return undefined
  } catch (error) {
    return error
  }
}
