// What each platform is opened with.
import type { Host } from './host.ts';
import type { Settings } from './settings.ts';

/** `local` is this machine; `say` tells people one line, on stderr. */
export type Context = { settings: Settings; local: Host; say: (line: string) => void };
