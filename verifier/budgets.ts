// How long things may take on each platform, in ms before SCALE: the one table that drills and RUNBOOK go by.
import { platformNames } from '#infra/platform';
import type { PlatformName } from '#infra/platform';

/** What each word of the table is measured from and to. */
export const timed = {
  detected: 'from the fault to `/ready` 503',
  readyAgain: 'from the end of the fault to `/ready` 200',
  writeAgain: 'from the end of the fault to the next order taken and the next one read',
  verify: '`make verify` of one node, all green',
  up: '`make up` of one node that was halted',
  halt: '`make halt` of one node',
  gap: 'the longest time without an order taken while one build replaces another',
  rollBack: 'from `make up` with a build that cannot be ready to the former one ready again',
} as const;
export type Timed = keyof typeof timed;
const words = Object.keys(timed) as Timed[];

export const budgets: Readonly<Record<PlatformName, Readonly<Record<Timed, number>>>> = {
  process: {
    detected: 1_000, readyAgain: 2_000, writeAgain: 2_000, verify: 30_000, up: 20_000, halt: 20_000,
    gap: 5_000, rollBack: 20_000,
  },
  docker: {
    detected: 1_000, readyAgain: 2_000, writeAgain: 2_000, verify: 40_000, up: 60_000, halt: 30_000,
    gap: 20_000, rollBack: 60_000,
  },
  vagrant: {
    detected: 1_000, readyAgain: 2_000, writeAgain: 2_000, verify: 60_000, up: 240_000, halt: 120_000,
    gap: 60_000, rollBack: 240_000,
  },
  swarm: {
    detected: 2_000, readyAgain: 5_000, writeAgain: 5_000, verify: 60_000, up: 180_000, halt: 90_000,
    gap: 2_000, rollBack: 180_000,
  },
};

/** `detected 1000, readyAgain 2000, …`, a line a platform. */
export function listBudgets(): string[] {
  return platformNames.map(platform => (
    `${platform.padEnd(8)} ${words.map(word => `${inWords(word)} ${budgets[platform][word]} ms`).join(', ')}`
  ));
}

/** The table as it is in RUNBOOK.md. */
export function tellBudgets(): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    row(['budget', 'measured', ...platformNames]), row(['---', '---', ...platformNames.map(() => '---:')]),
    ...words.map(word => row([inWords(word), timed[word], ...platformNames.map(name => tellMs(budgets[name][word]))])),
  ].join('\n');
}

/** `readyAgain` to `ready again`. */
export function inWords(name: string): string {
  return name.replace(/[A-Z]/g, letter => ` ${letter.toLowerCase()}`);
}

function tellMs(ms: number): string {
  return `${ms / 1000} s`;
}
