// status, with a control whose answers the test gives.
import { status } from '../programs/status.ts';
import { openFakeControl } from './fake-control.ts';

process.exitCode = await status({ args: process.argv.slice(2), env: process.env, openControl: openFakeControl });
