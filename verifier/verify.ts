// Says whether the system works: node verifier/dist/verify.js, TAP on stdout. Exit 0 held, 1 broken, 2 could not run.
import { test } from 'node:test';
import { openControl } from '#infra/control';
import { verify } from './programs/verify.ts';
import { stageOf } from './results/registry.ts';

const { argv, env } = process;
process.exitCode = await verify({
  args: argv.slice(2), env, file: import.meta.url, stage: stageOf({ test }), openControl,
});
