// What runs where, and what it answers: node verifier/dist/status.js. Exit 0 all usable, 1 not, 2 not understood.
import { openControl } from '#infra/control';
import { status } from './programs/status.ts';

process.exitCode = await status({ args: process.argv.slice(2), env: process.env, openControl });
