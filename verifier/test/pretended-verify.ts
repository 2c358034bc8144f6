// A verify that looks at nothing: the test says at which rung it is red.
import { test } from 'node:test';
import { Broken, climb } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import { rungs } from '../checks/rungs.ts';
import { stageOf } from '../results/registry.ts';
import { isTestProgram, runTests } from '../results/run.ts';
import { post } from './fake-drill.ts';

const { env } = process;
if (!isTestProgram(env)) process.exitCode = (await runTests(import.meta.url, [], { env })).exit;
else {
  const red: string | null = await post(Number(env['TEST_PLATFORM_PORT']), ['verify', env['EXPECT'] ?? '']);
  const climbed = rungs.map((name): Rung => ({ name, checks: [{ id: 'pretended', claim: 'it holds', run: async () => {
    if (name === red) throw new Broken('seen otherwise');
  } }] }));
  await climb(stageOf({ test }), climbed, { id: { node: 'control' } });
}
