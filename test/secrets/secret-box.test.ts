import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { open, SecretUnreadable, seal, valueBytesMax, valueFault } from '../../src/secrets/secret-box.ts';
import { readSecretKey } from '../../src/secrets/secret-key.ts';

const newKey = () => readSecretKey(randomBytes(32).toString('base64'));
const key = newKey();
const sealed = (value: string, name = 'db') => seal(value, { key, name });
const opened = (bytes: Uint8Array, more: Partial<Parameters<typeof open>[1]> = {}) =>
  open(bytes, { key, keyId: key.id, name: 'db', ...more });
const why = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    if (error instanceof SecretUnreadable) return [error.why, error.message] as const;
    throw error;
  }
  throw new Error('it opened');
};
/** What a person, a file or another program may have as a secret: well-formed, and not empty. */
const value = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1 }),
  fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text.isWellFormed()),
);
const name = fc.string({ unit: 'grapheme', minLength: 1 });

describe('a sealed value', () => {
  it('opens to what it was, whatever it and its name are', () => {
    fc.assert(
      fc.property(value, name, (text, of) => {
        expect(opened(sealed(text, of), { name: of })).toBe(text);
      }),
    );
  });

  it('does not open when any byte of it is another one, or missing, or one too many', () => {
    fc.assert(
      fc.property(value, fc.nat(), fc.integer({ min: 1, max: 255 }), (text, at, flip) => {
        const bytes = sealed(text);
        const changed = Buffer.from(bytes);
        changed[at % bytes.length]! ^= flip;
        expect(why(() => opened(changed))[0]).toBe('damaged');
        expect(why(() => opened(bytes.subarray(0, at % bytes.length)))[0]).toBe('damaged');
        expect(why(() => opened(Buffer.concat([bytes, Buffer.of(flip)])))[0]).toBe('damaged');
      }),
    );
    const bytes = sealed('hunter2-hunter2');
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      expect(why(() => opened(changed))[0]).toBe('damaged');
    }
  });

  it('does not open under another name, so that rows cannot be exchanged', () => {
    fc.assert(
      fc.property(value, name, name, (text, mine, other) => {
        fc.pre(mine !== other);
        const [kind, message] = why(() => opened(sealed(text, mine), { name: other }));
        expect(kind).toBe('damaged');
        expect(message).toContain('sealed under another name');
      }),
    );
  });

  it('tells another key from damage, by the id beside it, and says what to do', () => {
    const other = newKey();
    const [kind, message] = why(() => opened(sealed('hunter2-hunter2'), { key: other }));
    expect(kind).toBe('other_key');
    expect(message).toContain(`(${key.id})`);
    expect(message).toContain(`(${other.id})`);
    expect(message).toMatch(/Every node needs the same key: set CARILLON_SECRET_KEY/);
    expect(message).toContain('PUT /secrets/db');
    // Whoever changes the id too has not opened it yet.
    expect(why(() => opened(sealed('x'), { key: other, keyId: other.id }))[0]).toBe('damaged');
  });

  it('is another one each time, as long as its value and 29 bytes, and has nothing of it', () => {
    const value = 'correct-horse-battery-staple';
    const [one, two] = [sealed(value), sealed(value)];
    expect(one.equals(two)).toBe(false);
    expect(one.subarray(1, 13).equals(two.subarray(1, 13))).toBe(false);
    expect(one.length).toBe(29 + value.length);
    expect(one[0]).toBe(1);
    expect(one.includes('horse')).toBe(false);
  });

  it('of a form to come is refused as such', () => {
    const bytes = sealed('hunter2-hunter2');
    bytes[0] = 2;
    expect(why(() => opened(bytes))[1]).toContain('has the form 2, and this version of Carillon knows 1');
  });
});

describe('a value', () => {
  it('is text of at most 64 KiB in UTF-8, and not empty', () => {
    expect(valueFault('')).toBe('must not be empty');
    expect(valueFault('x'.repeat(valueBytesMax))).toBeNull();
    expect(valueFault('é'.repeat(valueBytesMax / 2 + 1))).toBe(
      'must have at most 65536 bytes in UTF-8, and has 65538',
    );
    expect(valueFault('\ud800 half')).toMatch(/UTF-8/);
    expect(opened(sealed('x'.repeat(valueBytesMax)))).toHaveLength(valueBytesMax);
  });

  it('that cannot be one is not sealed, and not repeated', () => {
    const long = 'hunter2'.repeat(10_000);
    expect(() => sealed(long)).toThrow(RangeError);
    expect(() => sealed(long)).not.toThrow(/hunter2/);
    expect(() => sealed('')).toThrow('The value of secret "db" must not be empty.');
  });
});

it('a key says nothing when it is printed', () => {
  const text = randomBytes(32).toString('base64');
  const made = readSecretKey(text);
  for (const told of [inspect(made, { depth: 9, showHidden: true }), JSON.stringify(made), `${made.key}`]) {
    expect(told).not.toContain(text.slice(0, 8));
    expect(told).not.toContain(Buffer.from(text, 'base64').toString('hex').slice(0, 8));
  }
});
