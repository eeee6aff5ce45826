/** Pages as stores read them: a row more than the page may have says that there is another page. Pure. */
import type { Page, PageRequest } from '../runs/page.ts';

/** Of up to `limit + 1` rows, which are read in the order of their ids. */
export function pageOf<Row, Item extends { id: string }>(
  rows: readonly Row[],
  { limit }: PageRequest,
  toItem: (row: Row) => Item,
): Page<Item> {
  return pageBy(rows, { limit }, toItem, ({ id }) => id);
}

/** The same in another order: `keyOf` says what the next page continues after. */
export function pageBy<Row, Item>(
  rows: readonly Row[],
  { limit }: Pick<PageRequest, 'limit'>,
  toItem: (row: Row) => Item,
  keyOf: (item: Item) => string,
): Page<Item> {
  const items = rows.slice(0, limit).map(toItem);
  return { items, next: rows.length > limit ? keyOf(items.at(-1)!) : null };
}
