// A red for every rung: node verifier/dist/prove.js, TAP on stdout. Exit 0 as expected, 1 not, 2 could not run.
import { test } from 'node:test';
import { openControl } from '#infra/control';
import { prove } from './programs/prove.ts';
import { stageOf } from './results/registry.ts';

const { argv, env } = process;
process.exitCode = await prove({
  args: argv.slice(2), env, file: import.meta.url, stage: stageOf({ test }), openControl,
  verify: new URL('./verify.js', import.meta.url).href,
});
