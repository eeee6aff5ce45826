// biome-ignore-all lint/suspicious/noTemplateCurlyInString: References are written so.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../src/errors.ts';
import {
  checkWithoutValues,
  clearCredentials,
  mayHaveReferences,
  readReferences,
  referencesIn,
  resolveReferences,
} from '../../src/secrets/secret-references.ts';

const values = new Map([
  ['db', 'hunter2'],
  ['user', 'us er'],
  ['odd', 'p@ss:w/o?r#d%&"\\ é'],
  ['sly', '${secret:db} $${secret:db}'],
]);
const resolve = (input: unknown) => resolveReferences(input, values);
const issuesOf = (input: unknown) => readReferences(input).issues;

describe('a reference', () => {
  it.each([
    [{ $secret: 'db' }, 'hunter2'],
    [{ password: { $secret: 'db' } }, { password: 'hunter2' }],
    [
      [{ $secret: 'db' }, 1, null, true, 'x'],
      ['hunter2', 1, null, true, 'x'],
    ],
    ['${secret:db}', 'hunter2'],
    ['Bearer ${secret:db}', 'Bearer hunter2'],
    ['${secret:db}${secret:db}', 'hunter2hunter2'],
    [{ a: [{ b: 'x${secret:db}y' }] }, { a: [{ b: 'xhunter2y' }] }],
    // What is none.
    ['${secret}', '${secret}'],
    ['${SECRET:db}', '${SECRET:db}'],
    ['$secret:db', '$secret:db'],
    ['${{secret:db}}', '${{secret:db}}'],
    [{ '${secret:db}': 1 }, { '${secret:db}': 1 }],
    [{ secret: 'db' }, { secret: 'db' }],
    // What would be one, and is to be a text.
    ['$${secret:db}', '${secret:db}'],
    ['$${secret:}', '${secret:}'],
    ['$$${secret:db}', '$${secret:db}'],
    ['$$$${secret:db}', '$$${secret:db}'],
    ['$${secret:db}${secret:db}', '${secret:db}hunter2'],
    ['cost: $$5', 'cost: $$5'],
  ])('%j becomes %j', (input, output) => {
    expect(resolve(input)).toEqual(output);
  });

  it('is named as secrets are, in any way of writing the same letters', () => {
    const accented = new Map([['caf\u00e9_1.x-y', 'v']]);
    expect(resolveReferences('${secret:cafe\u0301_1.x-y}', accented)).toBe('v');
    expect(resolveReferences({ $secret: 'cafe\u0301_1.x-y' }, accented)).toBe('v');
    expect(referencesIn(['${secret:密码}', { $secret: '密码' }, '${secret:db}'])).toEqual(['密码', 'db']);
  });

  it('is not looked for in a value', () => {
    expect(resolve(['${secret:sly}', { $secret: 'sly' }])).toEqual([values.get('sly'), values.get('sly')]);
  });

  it('that is malformed is told with its place, and resolves to nothing', () => {
    const input = {
      a: ['${secret:}', 'x ${secret:db', '${secret:a b}', '${secret:-x}', '${secret:a${secret:db}}'],
      'b/~': { $secret: 5 },
      c: { $secret: 'db', more: 1 },
      d: { $secret: 'no good' },
      e: { $secret: { $secret: 'db' } },
      f: `\${secret:${'x'.repeat(129)}}`,
    };
    expect(issuesOf(input).map((issue) => issue.pointer)).toEqual([
      '/a/0',
      '/a/1',
      '/a/2',
      '/a/3',
      '/a/4',
      '/b~1~0',
      '/c',
      '/d',
      '/e',
      '/f',
    ]);
    for (const { detail } of issuesOf(input)) expect(detail).toMatch(/^["`B].*\.$/);
    expect(() => resolve(input)).toThrow(DomainError);
    expect(issuesOf({ $secret: 'db', $secre: 1 })[0]).toEqual({
      pointer: '',
      detail: 'Beside `$secret` there must be no other field.',
    });
  });

  it('to a secret that there is not names it and its place', () => {
    const error = (() => {
      try {
        return resolve({ url: 'x${secret:nope}', list: [{ $secret: 'nope/no' }, { $secret: 'nö' }] });
      } catch (thrown) {
        return thrown as DomainError;
      }
    })() as DomainError;
    expect(error.code).toBe('invalid');
    expect(error.issues).toEqual([
      { pointer: '/list/0', detail: '`$secret` must be the name of a secret, as text.' },
      { pointer: '/url', detail: 'There is no secret "nope". Create it with PUT /secrets/nope.' },
      { pointer: '/list/1', detail: 'There is no secret "nö". Create it with PUT /secrets/n%C3%B6.' },
    ]);
  });

  it('leaves everything else as it is, and the input too', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        fc.pre(!json.includes('${secret:') && !json.includes('"$secret"'));
        const input = JSON.parse(json);
        const output = resolve(input);
        expect(output).toEqual(input);
        expect(JSON.stringify(output)).toBe(JSON.stringify(input));
        const wrapped = { left: input, secret: { $secret: 'db' }, right: [input] };
        const before = structuredClone(wrapped);
        expect(resolve(wrapped)).toEqual({ left: input, secret: 'hunter2', right: [input] });
        expect(wrapped).toEqual(before);
      }),
    );
    expect(JSON.stringify(resolve(JSON.parse('{"__proto__":{"x":"${secret:db}"}}')))).toBe(
      '{"__proto__":{"x":"hunter2"}}',
    );
    const input = { nested: { list: [1] } };
    expect((resolve(input) as typeof input).nested.list).not.toBe(input.nested.list);
  });

  it('is read as by a reader that goes from letter to letter', () => {
    const parts = [
      '$',
      '$$',
      '{',
      '}',
      ':',
      'secret',
      '${secret:',
      'db',
      'user',
      ' ',
      'é',
      '${secret:db}',
      '-',
      '',
    ];
    const text = fc.array(fc.constantFrom(...parts), { maxLength: 12 }).map((some) => some.join(''));
    fc.assert(
      fc.property(text, (input) => {
        const expected = oracle(input);
        const { references, issues } = readReferences(input);
        expect(references.map(({ name }) => name)).toEqual(expected.names);
        expect(issues.length).toBe(expected.malformed);
        const known = new Map(expected.names.map((name) => [name, `<${name}>`]));
        if (expected.malformed > 0) expect(() => resolveReferences(input, known)).toThrow(DomainError);
        else expect(resolveReferences(input, known)).toBe(expected.text);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('a check without the values', () => {
  const check = (input: unknown) =>
    Object.entries(input as Record<string, unknown>).flatMap(([key, value]) =>
      typeof value === 'string' && URL.canParse(value) ? [] : [{ pointer: `/${key}`, detail: String(value) }],
    );

  it('says nothing of the places where they will be', () => {
    const input = {
      whole: { $secret: 'hook' },
      port: 'http://h:${secret:port}/',
      fine: 'postgres://a:${secret:db}@h/x',
      wrong: 'no url',
      number: 5,
    };
    expect(checkWithoutValues(input, check)).toEqual([
      { pointer: '/wrong', detail: 'no url' },
      { pointer: '/number', detail: '5' },
    ]);
  });

  it('sees texts that are no references as the job will', () => {
    expect(checkWithoutValues({ a: '$${secret:x}' }, check)).toEqual([
      { pointer: '/a', detail: '${secret:x}' },
    ]);
  });

  it('leaves malformed references to who tells them', () => {
    expect(checkWithoutValues({ a: '${secret:}', b: 1 }, check)).toEqual([]);
  });
});

/** What a text has in it, found slowly. */
function oracle(text: string): { text: string; names: string[]; malformed: number } {
  const answer = { text: '', names: [] as string[], malformed: 0 };
  for (let at = 0; at < text.length; ) {
    if (text.startsWith('$${secret:', at)) {
      answer.text += '${secret:';
      at += 10;
    } else if (text.startsWith('${secret:', at)) {
      let end = at + 9;
      while (end < text.length && text[end] !== '}') end += 1;
      const name = text.slice(at + 9, end);
      const isName =
        name !== '' && !/^[-._]/.test(name) && [...name].every((c) => /[\p{L}\p{N}\p{M}._-]/u.test(c));
      if (end < text.length && isName) {
        answer.names.push(name);
        answer.text += `<${name}>`;
      } else answer.malformed += 1;
      at = end + 1;
    } else {
      answer.text += text[at];
      at += 1;
    }
  }
  return answer;
}

describe('in a URL', () => {
  const encoded = encodeURIComponent(values.get('odd')!);

  it.each([
    ['postgres://app:${secret:odd}@db:5432/x', `postgres://app:${encoded}@db:5432/x`],
    ['postgres://${secret:user}:${secret:odd}@db/x', `postgres://us%20er:${encoded}@db/x`],
    ['postgres://${secret:user}@db/x', 'postgres://us%20er@db/x'],
    ['mongodb+srv://a:${secret:odd}@h1:1,h2:2/x', `mongodb+srv://a:${encoded}@h1:1,h2:2/x`],
    ['jdbc:postgresql://a:${secret:odd}@h/x', `jdbc:postgresql://a:${encoded}@h/x`],
    ['redis://:${secret:odd}@cache', `redis://:${encoded}@cache`],
    ['psql "postgres://a:${secret:odd}@h/x" -c 1', `psql "postgres://a:${encoded}@h/x" -c 1`],
    ['http://a:x${secret:user}y@h/', 'http://a:xus%20ery@h/'],
    // Elsewhere it stands as it is.
    ['https://h/${secret:user}', 'https://h/us er'],
    ['https://h/?token=${secret:odd}', `https://h/?token=${values.get('odd')}`],
    ['https://h/${secret:user}@x', 'https://h/us er@x'],
    ['https://h:80/a:${secret:user}@x', 'https://h:80/a:us er@x'],
    ['${secret:user}://a', 'us er://a'],
    ['a:${secret:user}@h', 'a:us er@h'],
  ])('%s', (input, output) => {
    expect(resolve(input)).toBe(output);
  });

  it('any value comes back as it is from the user and the password', () => {
    const value = fc.string({ unit: 'grapheme', minLength: 1 });
    fc.assert(
      fc.property(value, value, (user, password) => {
        const known = new Map([
          ['user', user],
          ['password', password],
        ]);
        const url = new URL(
          resolveReferences('postgres://${secret:user}:${secret:password}@h:5432/d', known) as string,
        );
        expect([url.host, url.pathname]).toEqual(['h:5432', '/d']);
        expect(decodeURIComponent(url.username)).toBe(user);
        expect(decodeURIComponent(url.password)).toBe(password);
      }),
    );
  });
});

describe('a credential in the clear', () => {
  it.each([
    'postgres://app:hunter2@db/x',
    'POSTGRES://app:hunter2@db/x',
    'https://app:hunter2@example.com',
    ' https://app:hunter2@example.com\n',
    'redis://:hunter2@cache:6379',
    'mongodb+srv://app:hunter2@h1:1,h2:2/x',
    'jdbc:postgresql://app:hunter2@db/x',
    's3://AKIA123:hunter2@bucket/x',
    'postgres://app:hun"ter<2@db/x',
    'postgres://app:hun@ter2@db/x',
    'postgres://app:hun/ter2@db/x',
    'postgres://app:hunter2${secret:db}@db/x',
    'postgres://app:$${secret:db}@db/x',
    'postgres://${secret:user}:hunter2@db/x',
    'pg_dump postgres://app:hunter2@db/x > out',
    '{"dsn":"postgres://app:hunter2@db/x"}',
    'https://h/?password=hunter2',
    'https://h/a?x=1&API_KEY=hunter2#top',
    'postgres://h/d?user=app&password=hunter2',
    'https://h/?client_secret=hunter2&a=${secret:db}',
    'https://gitlab.example/trigger?token=glptt-hunter2hunter2',
  ])('is found in %s', (text) => {
    for (const [input, pointer] of [
      [text, ''],
      [{ list: [{ 'a/b': text }] }, '/list/0/a~1b'],
    ] as const) {
      const issues = clearCredentials(input);
      expect(issues.map((issue) => issue.pointer)).toEqual([pointer]);
      expect(issues[0]!.detail).toMatch(
        /^The URL has .* PUT \/secrets\/\{name\}, and write \$\{secret:name\} in its place\.$/,
      );
      expect(issues[0]!.detail).not.toMatch(/hun|ter2/);
    }
  });

  it.each([
    'postgres://db/x',
    'postgres://app@db:5432/x',
    'postgres://app:@db:5432/x',
    'postgres://app:${secret:db}@db/x',
    'postgres://${secret:user}:${secret:db}${secret:odd}@db/x',
    'ssh://git@example.com/x.git',
    'git@example.com:x.git',
    'https://example.com:8080/users/@me',
    'https://example.com:${secret:port}/users/@me',
    'http://[::1]:3000/@me',
    'mongodb://h1:1,h2:2/x?contact=a@b',
    'https://example.com/?q=a:b@c',
    'https://example.com/a:b@c',
    'http://h:80 was down, write to ops@example.com',
    '{"a":"http://x:1","b":"me@example.com"}',
    'mailto:me:you@example.com',
    '://a:b@c',
    'file:///etc/x:y@z',
    'https://h/?token=ETH',
    'https://h/?page_token=abcdefghijklmnopqrst',
    'https://h/?token=${secret:db}',
    'https://h/?password=',
    'https://h/?password=${secret:db}&x=1',
    'https://h/?passwords=no&forgot-password=1',
    'https://h/#password=hunter2',
    'password=hunter2',
    'a: b @ c',
  ])('is not seen in %s', (text) => {
    expect(clearCredentials({ text })).toEqual([]);
  });

  it('is looked for in time that grows with the text', () => {
    const hostile = [
      'a://',
      'a://b:c/',
      'a://b:c@',
      'http://x?',
      '${secret:',
      'http://x?password=',
      'a:',
      '@',
      'a',
    ];
    const startedAt = performance.now();
    for (const part of hostile) {
      const text = part.repeat(Math.floor(262_144 / part.length));
      for (const input of [text, `a://${text}`, ` ${text} x`]) {
        clearCredentials(input);
        readReferences(input);
      }
    }
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});

it('what is said to have no references is what replacing them leaves as it is', () => {
  const pieces = fc.constantFrom('a', '$', '{secret:', 'db', '}', '"', '\\', '\n', 'é', '$secret');
  const text = fc.array(pieces, { maxLength: 6 }).map((parts) => parts.join(''));
  const { input: anyInput } = fc.letrec((tie) => ({
    input: fc.oneof({ maxDepth: 3 }, text, fc.integer(), tie('list'), tie('object')),
    list: fc.array(tie('input'), { maxLength: 3 }),
    object: fc.dictionary(text, tie('input'), { maxKeys: 3 }),
  }));
  fc.assert(
    fc.property(anyInput, (input) => {
      fc.pre(!mayHaveReferences(input));
      expect(readReferences(input)).toEqual({ references: [], issues: [] });
      expect(resolve(input)).toEqual(input);
    }),
  );
  for (const input of [{ $secret: 'db' }, ['x${secret:db}'], '$${secret:db}', '${secret:']) {
    expect(mayHaveReferences(input)).toBe(true);
  }
});
