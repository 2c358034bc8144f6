// verify, with a control whose answers the test gives.
import { verify } from '../programs/verify.ts';
import { openFakeControl } from './fake-control.ts';
import { testStage } from './stage.ts';

const { argv, env } = process;
process.exitCode = await verify({
  args: argv.slice(2), env, file: import.meta.url, stage: testStage(env), openControl: openFakeControl,
  // most tests are about something else than how long something is watched
  pace: Number(env['TEST_PACE'] ?? 0.1),
});
