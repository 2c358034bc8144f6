// What is guaranteed, and what last proved it: node verifier/dist/guarantees.js. Exit 0, 1 unproven, 2 not understood.
import { guarantees } from './programs/guarantees.ts';

process.exitCode = await guarantees({ args: process.argv.slice(2), env: process.env });
