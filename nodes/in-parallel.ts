/** Does all of it, `limit` at a time; the results are in the order of the items. The first failure is thrown when all have ended. */
export async function inParallel<Item, Result>(
  items: Item[],
  limit: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: PromiseSettledResult<Result>[] = []
  const queue = items.entries()
  const lane = async () => {
    for (const [index, item] of queue) {
      results[index] = (await Promise.allSettled([work(item)]))[0]
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}
