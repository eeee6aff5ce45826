/** Keyset pages: a page continues strictly after the last id of the one before. */
export type PageRequest = {
  limit: number /** The last id of the page before, or null for the first. */;
  after: string | null;
};
export type Page<T> = { items: T[] /** The id to continue after; null at the end. */; next: string | null };

export const pageLimitMax = 200;
export const pageLimitDefault = 50;
