// The specification's list: node verifier/dist/acceptance.js, TAP on stdout. Exit 0 met, 1 not, 2 could not run.
import { test } from 'node:test';
import { openControl } from '#infra/control';
import { acceptance } from './programs/acceptance.ts';
import { stageOf } from './results/registry.ts';

const { argv, env } = process;
const urlOf = (name: string) => new URL(name, import.meta.url).href;
process.exitCode = await acceptance({
  args: argv.slice(2), env, file: import.meta.url, stage: stageOf({ test }), openControl,
  verify: urlOf('./verify.js'), drill: urlOf('./drill.js'),
});
