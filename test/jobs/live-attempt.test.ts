import { expect, it, vi } from 'vitest';
import { LiveAttempt } from '../../src/jobs/live-attempt.ts';

it('gives a job that asks late a signal that is aborted already, for the first reason', () => {
  const live = new LiveAttempt();
  live.abort('timeout', 'took too long');
  live.abort('cancel', 'nobody wants it');
  expect(live.signal.aborted).toBe(true);
  expect(live.signal.reason).toMatchObject({ why: 'timeout', message: 'took too long' });
  expect(() => live.throwIfAborted()).toThrow('took too long');
});

it('aborts a signal that was given before, and tells who heeds it, once', () => {
  const live = new LiveAttempt();
  const { signal } = live;
  const heeds = vi.fn();
  live.heed(heeds);
  expect(signal.aborted).toBe(false);
  live.abort('lease_lost', 'another worker has it');
  live.abort('cancel', 'nobody wants it');
  expect(signal.reason).toMatchObject({ why: 'lease_lost' });
  expect(heeds).toHaveBeenCalledOnce();
});

it('tells who heeds it late at once, and who has stopped not at all', () => {
  const live = new LiveAttempt();
  const stopped = vi.fn();
  live.heed(stopped);
  live.unheed();
  live.abort('shutdown', 'the house closes');
  const late = vi.fn();
  live.heed(late);
  expect(stopped).not.toHaveBeenCalled();
  expect(late).toHaveBeenCalledOnce();
});
