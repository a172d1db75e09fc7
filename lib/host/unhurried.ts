/**
 * Maps many items without keeping the main thread, and with it every request, for longer than a slice at a time.
 * One item takes as long as it takes.
 */
export async function mapUnhurried<T, R>(items: Iterable<T>, map: (item: T) => R, sliceMs = 8): Promise<R[]> {
  const results: R[] = [];
  let sliceEnd = performance.now() + sliceMs;
  for (const item of items) {
    if (performance.now() >= sliceEnd) {
      await new Promise((resolve) => setTimeout(resolve));
      sliceEnd = performance.now() + sliceMs;
    }
    results.push(map(item));
  }
  return results;
}
