// Names, and opens, the page of the newest run: node verifier/dist/report.js. Exit 0 named, 1 none, 2 not understood.
import { report } from './programs/report.ts';

process.exitCode = await report({ args: process.argv.slice(2), env: process.env, isTerminal: process.stdout.isTTY });
