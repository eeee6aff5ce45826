/**
 * Loaded before the service's own code in nodes under test: a wall clock that is off, and an event loop that blocks when
 * told to. The service knows nothing of it.
 */
const shiftMs = Number(process.env.CHAOS_CLOCK_SHIFT_MS ?? 0);
const blockMs = Number(process.env.CHAOS_BLOCK_MS ?? 0);

if (shiftMs !== 0) {
  const RealDate = Date;
  const now = () => RealDate.now() + shiftMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, given, self) => Reflect.construct(target, given.length === 0 ? [now()] : given, self),
    apply: () => new RealDate(now()).toString(),
    get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
  });
  const origin = performance.timeOrigin + shiftMs;
  Object.defineProperty(performance, 'timeOrigin', { get: () => origin });
}

// It must not outlive who started it, however that ended.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
}, 1000).unref();

if (blockMs > 0) {
  process.on('SIGUSR2', () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs);
  });
}
