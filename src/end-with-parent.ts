/**
 * Whether the program that started this one is still there. `kill` of `npm start` ends npm and its shell and tells us
 * nothing: the service would go on unseen, and the next start would find its port taken.
 */
const lookEveryMs = 1000;

/** Calls `gone` once when the parent process has ended: another process is our parent then. */
export function watchParent(gone: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    gone();
  }, lookEveryMs);
  timer.unref();
}
