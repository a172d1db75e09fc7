/** Waits for something, but not longer than this; whether it ended in time. It goes on if it did not. */
export async function within(ms: number, task: PromiseLike<unknown>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(resolve, ms, false);
  try {
    return await Promise.race([Promise.resolve(task).then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
