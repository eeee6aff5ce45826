import { expect, test } from 'vitest';
import { readName, toNewName, toRef, toRunId } from '../../src/routes/schedule-name.ts';
import { scheduleId } from './stand-in.ts';

test.each([
  'a',
  '7',
  'daily-backup',
  'Daily_Backup.v2',
  '每日备份',
  'सप्ताह',
  'ежедневно',
  'übung',
  '٣',
  'x'.repeat(128),
  '𝒜'.repeat(128),
  'previews',
  'Pause',
])('%s is a name', (text) => {
  expect(readName(text)).toEqual({ name: text.normalize('NFC') });
});

test.each([
  '',
  ' ',
  'a b',
  'a/b',
  'a\\b',
  '.hidden',
  '-dash',
  '_line',
  '..',
  'a?b',
  'a#b',
  'a%b',
  'a:b',
  'a\u0000',
  'a\n',
  '🔔',
  'a\u200b',
  'x'.repeat(129),
  'x'.repeat(300),
  'preview',
  'apply',
  'export',
  'pause',
  'resume',
  'stop',
  'forecast',
  scheduleId,
  scheduleId.toUpperCase(),
])('%j is no name', (text) => {
  expect(readName(text)).toHaveProperty('reason');
});

test('two ways to write the same letters are one name', () => {
  expect(readName('cafe\u0301')).toEqual({ name: 'caf\u00e9' });
});

test('a path may name a schedule by its id, in any case, or by its name', () => {
  expect(toRef(scheduleId.toUpperCase())).toBe(scheduleId);
  expect(toRef('cafe\u0301')).toBe('caf\u00e9');
});

test('what can be neither id nor name is not found', () => {
  expect(() => toRef('a b')).toThrow(expect.objectContaining({ code: 'not_found' }));
});

test('a path that creates must be a name, not an id', () => {
  expect(() => toNewName(scheduleId)).toThrow(expect.objectContaining({ code: 'invalid' }));
});

test('a run goes by its id only', () => {
  expect(toRunId(scheduleId.toUpperCase())).toBe(scheduleId);
  expect(() => toRunId('ping')).toThrow(expect.objectContaining({ code: 'invalid' }));
});
