// Signals, and the end of a parent: what a program passes on, what it sits out, and when it leaves.

const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
export type Signal = keyof typeof numbers;
const names: Signal[] = ['SIGHUP', 'SIGINT', 'SIGTERM'];

/** The exit code of a program that a signal made end. */
export function exitAfter(name: Signal): number {
  return 128 + numbers[name];
}

/** While this is in force no signal ends the process, however often it comes; each is reported. */
export function onSignals(tell: (name: Signal) => void): { stop: () => void } {
  names.forEach(name => process.on(name, tell));
  return { stop: () => names.forEach(name => process.off(name, tell)) };
}

/** On a signal: what is under way comes to its end, and then this process leaves. */
export function leaveWhenAsked(underWay: () => Promise<void>): void {
  onSignals(name => void underWay().then(() => process.exit(exitAfter(name))));
}

/** In a test program: the kernel tells when the parent has gone, however it went; this process then leaves at once. */
export function leaveWithParent(): void {
  process.on('disconnect', () => process.exit(1));
  // to listen is no reason to stay
  process.channel?.unref();
}
