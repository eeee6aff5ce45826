import { describe, expect, it } from 'vitest';
import { readOptions } from '../../bench/bench-options.ts';
import type { Bench } from '../../bench/measurement.ts';

const bench = (name: string, isExtra = false): Bench => ({
  name,
  about: '',
  figures: {},
  goals: [],
  secondsAbout: 100,
  isExtra,
  open: async () => ({ contenders: [], close: async () => undefined }),
});
const all = [bench('herd'), bench('api-read'), bench('api-write'), bench('queue', true)];

function read(line: string) {
  const options = readOptions(line.split(' ').filter(Boolean), all);
  if ('text' in options) return options;
  return { ...options, benches: options.benches.map(({ name }) => name) };
}

describe('the command line of the benchmark', () => {
  it('runs five rounds of all but the extra benches and writes what it found', () => {
    expect(read('')).toEqual({
      benches: ['herd', 'api-read', 'api-write'],
      rounds: 5,
      isQuick: false,
      writes: true,
    });
  });

  it('takes names, or what some begin with, and writes nothing then', () => {
    expect(read('--only queue,api')).toMatchObject({
      benches: ['api-read', 'api-write', 'queue'],
      writes: false,
    });
    expect(read('--only queue --only herd --write')).toMatchObject({
      benches: ['herd', 'queue'],
      writes: true,
    });
  });

  it('runs one round of a quick run, and does not write it', () => {
    expect(read('--quick')).toMatchObject({ rounds: 1, isQuick: true, writes: false });
    expect(read('--quick --rounds 2')).toMatchObject({ rounds: 2 });
  });

  it('runs the extra ones too when asked for all', () => {
    expect(read('--all')).toMatchObject({
      benches: ['herd', 'api-read', 'api-write', 'queue'],
      writes: true,
    });
  });

  it.each([
    ['--only nope', 'There is no bench "nope"; there are: herd, api-read, api-write, queue.'],
    ['--only her', 'There is no bench "her"'],
    ['--rounds 0', '--rounds takes a whole number from 1 to 99, not "0".'],
    ['--rounds 2.5', 'not "2.5"'],
    ['--fast', '--help'],
    ['herd', '--help'],
  ])('refuses %s and says what to do', (line, words) => {
    const refused = read(line);
    expect(refused).toMatchObject({ isFault: true });
    expect('text' in refused && refused.text).toContain(words);
  });

  it('lists the benches, and how long all of them take, without the extra ones', () => {
    const help = read('--help');
    expect(help).toMatchObject({ isFault: false });
    expect('text' in help && help.text).toMatch(/Without options: 5 minutes(.|\n)*queue\s+100 s {2}extra/);
  });
});
