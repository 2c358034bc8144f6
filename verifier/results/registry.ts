// Which ids belong to which test: written where a test is defined, read by the reporter in the same process.
import type { TestContext } from 'node:test';
import type { Id } from './point.ts';

/** `blockedBy` is the rung that broke below a check that is skipped for it. */
export type Registered = { id: Id; blockedBy?: string };
/** `skip` where a test may find out that it cannot look. */
type Run = (t: Pick<TestContext, 'diagnostic'> & Partial<Pick<TestContext, 'skip'>>) => Promise<void>;
/** Takes points with their ids: node:test, or whoever wants to know without it whether a system is sound. */
export type Stage = { test: (name: string, options: Registered & { skip?: string }, run: Run) => Promise<void> };

const registered = new Map<string, Registered>();

/** `{ test }` of node:test or a TestContext, as a stage. */
export function stageOf(parent: { test: TestContext['test'] }): Stage {
  return {
    test: async (name, { id, blockedBy, skip }, run) => {
      register(name, blockedBy === undefined ? { id } : { id, blockedBy });
      await parent.test(name, skip === undefined ? {} : { skip }, run);
    },
  };
}

/** Gives the name. Two tests of one name could not be distinguished: that is a bug, and thrown. */
export function register(name: string, entry: Registered): string {
  if (registered.has(name)) throw new Error(`two tests are named "${name}"`);
  registered.set(name, entry);
  return name;
}

/** What was registered for a test. */
export function lookUp(name: string): Registered | undefined {
  return registered.get(name);
}
