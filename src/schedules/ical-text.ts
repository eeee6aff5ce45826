/**
 * iCalendar text (RFC 5545) as a tree of components with the properties that a calendar of Carillon needs.
 *
 * A content line is read by ical.js: it is well kept, needs nothing of Node or of a browser, and knows
 * parameters, quoting, escapes, value types and RRULE, where hand-written readers go wrong. It is given line
 * by line and not the whole text, because then every error names its line, because it takes `END:VEVENT` for
 * the end of anything, and so that a sloppy DESCRIPTION, which matters to nobody here, refuses no calendar.
 */
import ICAL from 'ical.js';
import { calendarBytesMax, calendarEntriesMax, InvalidCalendar } from './calendar-limits.ts';

export type IcalProperty = {
  /** Lower case, as in jCal (RFC 7265). */
  name: string;
  params: Readonly<Record<string, unknown>>;
  /** `date`, `date-time`, `period`, `recur`, `text`, … */
  type: string;
  values: readonly unknown[];
  /** The unfolded line and its number, for messages. */
  text: string;
  line: number;
};

export type IcalComponent = {
  /** Upper case. */
  name: string;
  line: number;
  properties: Map<string, IcalProperty[]>;
  components: IcalComponent[];
};

const wanted = new Set(
  `dtstart dtend duration rrule rdate exdate exrule recurrence-id uid summary status method
   tzid tzoffsetfrom tzoffsetto x-lic-location x-wr-timezone`.split(/\s+/),
);

const depthMax = 8;
/** ical.js needs a time that grows with the square of a line's parameters. */
const lineParametersMax = 100;

/** The VCALENDARs of a text. Throws InvalidCalendar. */
export function readIcal(text: string): IcalComponent[] {
  if (Buffer.byteLength(text) > calendarBytesMax) {
    throw new InvalidCalendar(`An iCalendar text may have ${calendarBytesMax} bytes at most.`);
  }
  const root: IcalComponent = { name: '', line: 0, properties: new Map(), components: [] };
  const open = [root];
  let events = 0;
  for (const { text: content, line } of contentLines(text)) {
    const name = /^[A-Za-z0-9-]+/.exec(content)?.[0].toLowerCase() ?? '';
    const inside = open.at(-1)!;
    if (name === 'begin') {
      const component = { name: afterColon(content), line, properties: new Map(), components: [] };
      if (inside === root && component.name !== 'VCALENDAR') throw notIcal(line, text);
      if (component.name === 'VEVENT') {
        events += 1;
        if (inside.name !== 'VCALENDAR')
          throw new InvalidCalendar(`Line ${line}: a VEVENT inside a ${inside.name}.`);
      }
      if (events > calendarEntriesMax) {
        throw new InvalidCalendar(`A calendar may have ${calendarEntriesMax} events at most.`);
      }
      if (open.length > depthMax)
        throw new InvalidCalendar(`Line ${line}: components are nested too deeply.`);
      inside.components.push(component);
      open.push(component);
    } else if (inside === root) {
      throw notIcal(line, text);
    } else if (name === 'end') {
      if (afterColon(content) !== inside.name) {
        throw new InvalidCalendar(
          `Line ${line}: ${shown(content)} where the ${inside.name} of line ${inside.line} must end first.`,
        );
      }
      open.pop();
    } else if (wanted.has(name)) {
      const property = readProperty(content, line);
      const known = inside.properties.get(name);
      if (known === undefined) inside.properties.set(name, [property]);
      else known.push(property);
    } else if (name === '' || !/^[A-Za-z0-9-]+[:;]/.test(content)) {
      throw new InvalidCalendar(`Line ${line}: ${shown(content)} is no line of iCalendar (NAME:value).`);
    }
  }
  if (open.length > 1) {
    const { name, line } = open.at(-1)!;
    throw new InvalidCalendar(`The ${name} that begins on line ${line} never ends: the text may be cut off.`);
  }
  if (root.components.length === 0) throw notIcal(1, text);
  return root.components;
}

/** Quoted and cut, for messages. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

function notIcal(line: number, text: string): InvalidCalendar {
  const words = `Line ${line}: an iCalendar text consists of BEGIN:VCALENDAR … END:VCALENDAR, each on a line of its own.`;
  // What curl -d makes of a file.
  const isOneLine = !/[\r\n]/.test(text.trim()) && text.length > 40;
  return new InvalidCalendar(
    isOneLine
      ? `${words} All of it is one line here; send a file with curl's --data-binary, not with -d.`
      : words,
  );
}

/**
 * Lines that begin with a space or a tab go on from the one before (RFC 5545, 3.1). Empty ones do not count.
 */
function contentLines(text: string): { text: string; line: number }[] {
  const lines: { text: string; line: number }[] = [];
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)
    .entries()) {
    const last = lines.at(-1);
    if (/^[ \t]/.test(raw) && last !== undefined) last.text += raw.slice(1);
    else if (raw.trim() !== '') lines.push({ text: raw.trimEnd(), line: index + 1 });
  }
  return lines;
}

function afterColon(content: string): string {
  return content
    .slice(content.indexOf(':') + 1)
    .trim()
    .toUpperCase();
}

type JcalProperty = [string, Record<string, unknown>, string, ...unknown[]];

function readProperty(text: string, line: number): IcalProperty {
  if (text.split(';').length > lineParametersMax) {
    throw new InvalidCalendar(`Line ${line}: ${shown(text)} has too many parts.`);
  }
  try {
    const [name, params, type, ...values] = ICAL.parse.property(text) as JcalProperty;
    return { name, params, type, values, text, line };
  } catch {
    // What ical.js says is for programmers, and at times the reverse of what it means.
    const why = /^rrule/i.test(text)
      ? 'is no rule of RFC 5545: a part of it is misspelt, empty or out of range'
      : 'cannot be read: its parameters (;NAME=value) or their quotes are broken';
    throw new InvalidCalendar(`Line ${line}: ${shown(text)} ${why}.`);
  }
}
