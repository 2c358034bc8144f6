// Breaks it and sees it heal: node verifier/dist/drill.js NAME…, TAP on stdout. Exit 0 held, 1 broken, 2 could not run.
import { test } from 'node:test';
import { openControl } from '#infra/control';
import { drill } from './programs/drill.ts';
import { stageOf } from './results/registry.ts';

const { argv, env } = process;
process.exitCode = await drill({
  args: argv.slice(2), env, file: import.meta.url, stage: stageOf({ test }), openControl,
  verify: new URL('./verify.js', import.meta.url).href,
});
