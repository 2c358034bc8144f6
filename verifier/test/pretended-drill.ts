// A drill that breaks nothing: it has the points that acceptance asks for, and port-dropped is not possible.
import { test } from 'node:test';
import { register } from '../results/registry.ts';
import { isTestProgram, runTests } from '../results/run.ts';

const { argv, env } = process;
const [, , drill = ''] = argv;
const rung = 'meanwhile';
const word = env['REWORDED'] === '1' ? 'other words for ' : '';

if (!isTestProgram(env)) process.exitCode = (await runTests(import.meta.url, [drill], { env })).exit;
else {
  await test(register(`${word}${drill}`, { id: { node: 'control', drill } }), async t => {
    for (const check of ['ready-503', 'tcp-held', 'health-200', 'orders-refused']) {
      await t.test(register(`${word}${drill} ${check}`, { id: { node: 'control', drill, rung, check } }), step => {
        if (env['BROKEN'] === `${drill} ${check}`) throw new Error('seen otherwise');
        step.diagnostic(`saw ${check}`);
      });
    }
    if (drill === 'port-dropped') t.skip('not run: there is no packet filter');
  });
}
