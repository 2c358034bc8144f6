// Where points go in tests: with REWORDED=1 every sentence is another one, LEAVE_OUT=RUNG or RUNG/CHECK is dropped.
import { test } from 'node:test';
import { stageOf } from '../results/registry.ts';
import type { Stage } from '../results/registry.ts';

export function testStage(env: NodeJS.ProcessEnv): Stage {
  const honest = without(env['LEAVE_OUT'], stageOf({ test }));
  if (env['REWORDED'] !== '1') return honest;
  let count = 0;
  return { test: (_name, options, run) => honest.test(`alive: no # SKIP blocked by ${count += 1}`, options, run) };
}

function without(left: string | undefined, stage: Stage): Stage {
  return { test: async (name, options, run) => {
    const { rung, check } = options.id;
    if (left === undefined || ![rung, `${rung}/${check}`].includes(left)) await stage.test(name, options, run);
  } };
}
