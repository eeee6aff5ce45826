/** Which answers ask for another try, and when: the `Retry-After` header (RFC 9110, 10.2.3). Pure. */

/** Answers that say "not now" (RFC 9110; 425: RFC 8470; 429: RFC 6585), and the server's own faults. */
export function isRetryableStatus(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The three forms that a recipient must accept (RFC 9110, 5.6.7): IMF-fixdate, RFC 850, asctime. */
const httpDateForms = [
  /^[A-Z][a-z]{2}, (?<day>\d{2}) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d{2}:\d{2}:\d{2}) GMT$/,
  /^[A-Z][a-z]{5,8}, (?<day>\d{2})-(?<month>[A-Z][a-z]{2})-(?<year>\d{2}) (?<time>\d{2}:\d{2}:\d{2}) GMT$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d{2}:\d{2}:\d{2}) (?<year>\d{4})$/,
];

const fiftyYearsMs = 50 * 365.25 * 86_400_000;

/**
 * Of a number of seconds or an HTTP-date: milliseconds from `nowMs` until the receiver wants the next try; 0 when that moment has passed. Undefined when there
 * is no header or it cannot be read: the retry policy then decides alone. Of several the first counts. Not cut to a maximum; the policy does that.
 */
export function parseRetryAfter(header: string | string[] | undefined, nowMs: number): number | undefined {
  const text = [header].flat()[0]?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1_000, Number.MAX_SAFE_INTEGER);
  const dateMs = parseHttpDate(text, nowMs);
  return dateMs === undefined ? undefined : Math.max(0, Math.ceil(dateMs - nowMs));
}

function parseHttpDate(text: string, nowMs: number): number | undefined {
  for (const form of httpDateForms) {
    const parts = form.exec(text)?.groups;
    if (!parts) continue;
    const month = months.indexOf(parts.month ?? '');
    if (month === -1) return undefined;
    const [hour = 0, minute = 0, second = 0] = (parts.time ?? '').split(':').map(Number);
    const instantIn = (year: number) => Date.UTC(year, month, Number(parts.day), hour, minute, second);
    if (parts.year?.length !== 2) return instantIn(Number(parts.year));
    // Two digits: a date that seems more than 50 years ahead is the most recent year with these digits.
    const inThisCentury = instantIn(2000 + Number(parts.year));
    return inThisCentury - nowMs > fiftyYearsMs ? instantIn(1900 + Number(parts.year)) : inThisCentury;
  }
  return undefined;
}
