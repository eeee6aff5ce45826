/** A real disk that is soon full. */
import { execFileSync } from 'node:child_process';

/** Mounts a file system of 1 MiB there, to be unmounted by what is answered; null: this account may not. */
export function mountTiny(path: string): (() => void) | null {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path], { stdio: 'ignore' });
    return () => execFileSync('umount', [path]);
  } catch {
    return null;
  }
}
