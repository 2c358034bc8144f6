// acceptance, with a control whose answers the test gives, and drills that only say what theirs would.
import { acceptance } from '../programs/acceptance.ts';
import { openFakeControl } from './fake-control.ts';
import { testStage } from './stage.ts';

const { argv, env } = process;
const urlOf = (name: string) => new URL(name, import.meta.url).href;
process.exitCode = await acceptance({
  args: argv.slice(2), env, file: import.meta.url, stage: testStage(env), openControl: openFakeControl,
  verify: urlOf('./verify-program.js'), drill: urlOf('./pretended-drill.js'),
});
