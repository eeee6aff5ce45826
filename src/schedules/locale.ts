/** The languages that descriptions and warnings are written in, and which of them a caller wants. Pure. */

/** As cronstrue names them. */
export const locales = ['en', 'zh_CN'] as const;
export type Locale = (typeof locales)[number];

/** As HTTP names them (Content-Language). */
export const contentLanguages: Readonly<Record<Locale, string>> = { en: 'en', zh_CN: 'zh-CN' };

/** Other Chinese than simplified is answered in it too: it is nearer than English. */
const byLanguage: Readonly<Record<string, Locale>> = { en: 'en', zh: 'zh_CN' };

const headerLengthMax = 1_000;

/** A language range with its weight (RFC 9110, 12.4.2 and 12.5.4). */
const rangeForm =
  /^([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9]{1,8})*(?:[ \t]*;[ \t]*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?$/;

/**
 * The language of an Accept-Language header: of the ranges that we have a language for the one with the
 * largest q, of equals the first. English when there is none, and for what is no such header.
 */
export function chooseLocale(acceptLanguage: string | undefined): Locale {
  if (acceptLanguage === undefined || acceptLanguage.length > headerLengthMax) return 'en';
  const weights = new Map<Locale, number>();
  let anyWeight = 0;
  for (const range of acceptLanguage.split(',')) {
    const match = rangeForm.exec(range.trim());
    if (match === null) continue;
    const [, language = '', q = '1'] = match;
    if (language === '*') {
      anyWeight = Math.max(anyWeight, Number(q));
      continue;
    }
    const locale = byLanguage[language.toLowerCase()];
    if (locale !== undefined) weights.set(locale, Math.max(weights.get(locale) ?? 0, Number(q)));
  }
  // `*` stands for the languages that are not named.
  for (const locale of locales) if (!weights.has(locale)) weights.set(locale, anyWeight);
  const [best, weight] = [...weights].reduce((most, other) => (other[1] > most[1] ? other : most));
  return weight > 0 ? best : 'en';
}
