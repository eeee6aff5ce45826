// biome-ignore-all lint/suspicious/noTemplateCurlyInString: References are written so.
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRedactor, redactJson, redactUrls } from '../../src/secrets/redaction.ts';

const secret = 'p@ss w/o"rd\\é+1';
const redact = createRedactor([
  ['db', secret],
  ['other', 'hunter2'],
]);

describe('a secret', () => {
  it.each([
    ['as it is', secret],
    ['percent-encoded', encodeURIComponent(secret)],
    ['percent-encoded in small letters', encodeURIComponent(secret).replace(/%../g, (x) => x.toLowerCase())],
    ['in a form', String(new URLSearchParams([['', secret]])).slice(1)],
    ['in a URL', encodeURI(secret)],
    ['in JSON', JSON.stringify(secret).slice(1, -1)],
    ['in JSON in JSON', JSON.stringify(JSON.stringify(secret)).slice(3, -3)],
    ['in JSON for ASCII', JSON.stringify(secret).slice(1, -1).replace('é', '\\u00e9')],
    ['in base64', Buffer.from(secret).toString('base64')],
    ['in base64url', Buffer.from(secret).toString('base64url')],
  ])('is hidden %s', (_form, text) => {
    expect(redact(`<${text}>`)).toBe('<[secret:db]>');
    expect(redact(text)).toBe('[secret:db]');
    expect(redact(`${text}${text} and hunter2`)).toBe('[secret:db][secret:db] and [secret:other]');
  });

  it('is hidden in Basic authentication, whatever the length of the user’s name is', () => {
    for (const user of ['', 'a', 'ab', 'abc', 'abcd']) {
      for (const after of ['', '!', '!!', '!!!']) {
        const text = redact(`Basic ${Buffer.from(`${user}:${secret}${after}`).toString('base64')}`);
        const left = text.replace('[secret:db]', ' ');
        expect(left).not.toBe(text);
        // At most a letter on each side that has bits of both.
        expect(left.replace('Basic ', '').length).toBeLessThanOrEqual(1 + 4 * 2 + 6);
      }
    }
  });

  it('of several lines is hidden line by line too', () => {
    const key = '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nAgEAAoIBAQC7\nxx\n-----END KEY-----\n';
    const hide = createRedactor([['key', key]]);
    expect(hide(`bad line: MIIEvQIBADANBgkqhkiG9w0`)).toBe('bad line: [secret:key]');
    expect(hide(`a\n${key}b`)).toBe('a\n[secret:key]b');
    expect(hide('xx')).toBe('xx');
  });

  it('that overlaps with another one is hidden with it', () => {
    const hide = createRedactor([
      ['a', 'abcdef'],
      ['b', 'defghijkl'],
      ['c', 'ghi!'],
    ]);
    expect(hide('<abcdefghijkl>')).toBe('<***>');
    expect(hide('<abcdef ghi!>')).toBe('<[secret:a] [secret:c]>');
  });

  it('that has another one in it counts as itself', () => {
    const hide = createRedactor([
      ['short', 'hunter'],
      ['long', 'hunter2hunter2'],
    ]);
    expect(hide('hunter hunter2hunter2')).toBe('[secret:short] ***');
  });

  it('of less than four characters is hidden only where it stands alone', () => {
    const hide = createRedactor([
      ['pin', '123'],
      ['empty', ''],
    ]);
    expect(hide('123')).toBe('[secret:pin]');
    expect(hide('took 1234 ms')).toBe('took 1234 ms');
    expect(redactJson({ a: '123', b: 123, c: 1234, d: ' 123' }, hide)).toEqual({
      a: '[secret:pin]',
      b: '[secret:pin]',
      c: 1234,
      d: ' 123',
    });
  });

  it('that is what hides it, or another one, is hidden all the same', () => {
    for (const value of ['secret', '[secret:', 'secret:x]', '****', '*****', '[secret:x]']) {
      const hide = createRedactor([
        ['x', value],
        ['y', 'hunter2'],
      ]);
      for (const text of [value, `a ${value} b`, 'hunter2', value + value, `*${value}`, `****${value}****`]) {
        expect(hide(text)).not.toContain(value);
      }
    }
  });

  it('never stays in a text, whatever it and the text are', () => {
    const value = fc.oneof(
      fc.string({ unit: 'grapheme', minLength: 4 }),
      fc.string({
        unit: fc.constantFrom('a', 'b', '*', '[', ']', ':', '%', '\\'),
        minLength: 4,
        maxLength: 8,
      }),
    );
    const forms = [
      (text: string) => text,
      (text: string) => encodeURIComponent(text.toWellFormed()),
      (text: string) => JSON.stringify(text),
      (text: string) => Buffer.from(text).toString('base64'),
    ];
    const piece = fc.tuple(fc.nat(), fc.nat(), fc.string({ unit: 'grapheme' }));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 4 }), fc.array(piece), (secrets, pieces) => {
        const text = pieces
          .map(([which, form, more]) => forms[form % forms.length]!(secrets[which % secrets.length]!) + more)
          .join('');
        const hide = createRedactor(secrets.map((each, index) => [`s${index}`, each]));
        const told = hide(text);
        for (const each of secrets) {
          for (const form of forms.slice(0, 2)) expect(told).not.toContain(form(each));
          expect(told).not.toContain(JSON.stringify(each).slice(1, -1));
          expect(told).not.toContain(Buffer.from(each).toString('base64'));
        }
        expect(hide(told)).toBe(told);
      }),
      { numRuns: 1000 },
    );
  });

  it('leaves a text without it as it is, and none hides nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(createRedactor([])(text)).toBe(text);
        expect(createRedactor([['x', '\u0001\u0002\u0003\u0004\u0005']])(text)).toBe(text);
      }),
    );
  });

  it('of 64 KiB is looked for in time', () => {
    const hide = createRedactor([
      ['big', 'a'.repeat(65_536)],
      ['lines', 'abcdefghijklmno\n'.repeat(4_096)],
      ['random', Array.from({ length: 4_096 }, (_, n) => `line number ${n}`).join('\n')],
    ]);
    const startedAt = performance.now();
    for (let line = 0; line < 100; line += 1) hide(`aaaaaaaa line ${'x'.repeat(200)} ${line}`);
    hide('ab'.repeat(131_072));
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});

describe('JSON', () => {
  it('is redacted in all its texts, keys and numbers, and nowhere else', () => {
    const hide = createRedactor([
      ['pin', '12345678'],
      ['word', 'hunter2'],
    ]);
    const value = {
      a: ['hunter2', { b: 'x hunter2' }, 12345678, 512345678, 1.5, true, null],
      hunter2: { 'key of hunter2': '' },
    };
    expect(redactJson(value, hide)).toEqual({
      a: ['[secret:word]', { b: 'x [secret:word]' }, '[secret:pin]', 512345678, 1.5, true, null],
      '[secret:word]': { 'key of [secret:word]': '' },
    });
    expect(value.a[0]).toBe('hunter2');
  });

  it('without secrets in it stays as it is', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const value = JSON.parse(json);
        expect(JSON.stringify(redactJson(value, (text) => text))).toBe(JSON.stringify(value));
      }),
    );
  });
});

describe('a URL', () => {
  it.each([
    ['postgres://app:hunter2@db/x', 'postgres://app:***@db/x'],
    ['postgres://:hunter2@db', 'postgres://:***@db'],
    ['connect to "postgres://app:hunter2@db/x" failed', 'connect to "postgres://app:***@db/x" failed'],
    ['http://a:b@c http://d:e@f', 'http://a:***@c http://d:***@f'],
    ['a://u:p@h,b://v:q@i', 'a://u:***@h,b://v:***@i'],
    ['postgres://app:hun/ter2@db/x', 'postgres://app:***@db/x'],
    ['postgres://app:hun@ter2@db/x', 'postgres://app:***@db/x'],
    ['postgres://u:p@h/d?password=hunter2&x=1', 'postgres://u:***@h/d?password=***&x=1'],
    ['{"dsn":"postgres://app:hunter2@db"}', '{"dsn":"postgres://app:***@db"}'],
    // What names its password, or has been here before.
    ['postgres://app:${secret:db}@db/x', 'postgres://app:${secret:db}@db/x'],
    ['postgres://app:[secret:db]@db/x', 'postgres://app:[secret:db]@db/x'],
    ['postgres://app:***@db/x', 'postgres://app:***@db/x'],
    ['https://example.com:8080/@me', 'https://example.com:8080/@me'],
    ['{"a":"http://x:1","b":"me@example.com"}', '{"a":"http://x:1","b":"me@example.com"}'],
  ])('%s becomes %s', (text, told) => {
    expect(redactUrls(text)).toBe(told);
    expect(redactUrls(told)).toBe(told);
  });

  it('shows no password that the URL parser finds in it', () => {
    const part = fc
      .string({ unit: 'grapheme-ascii', minLength: 1 })
      .map((text) => text.replace(/[\s/?#"<>`\\]/g, ''));
    fc.assert(
      fc.property(part, part, fc.constantFrom('', ' ', '"', '('), (user, password, around) => {
        const url = URL.parse(`postgres://${user}:${password}@host/path`);
        fc.pre(url !== null && url.password.length > 3 && url.host === 'host');
        const told = redactUrls(`x ${around}postgres://${user}:${password}@host/path${around} y`);
        expect(told).toContain('@host/path');
        expect(told.replace(user, '')).not.toContain(`:${password}@`);
      }),
    );
  });
});

it('what is redacted says so when it is printed', () => {
  expect(inspect(redactJson({ password: secret }, redact))).toBe("{ password: '[secret:db]' }");
});
