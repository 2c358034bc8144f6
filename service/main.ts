// The process: sole reader of environment and signals. Exit 78 for a refused configuration, 0 after a drain, else 1.
// With --check it only judges its configuration.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { parseConfig } from './config.ts';
import type { Config } from './config.ts';
import { openLog } from './telemetry/log.ts';
import type { Log } from './telemetry/log.ts';
import { openService, stackOf } from './service.ts';
import { openStore } from './database/store.ts';
import { openWatchdog } from './watchdog.ts';

const maxBufferedLogBytes = 1_048_576;
const maxSecretBytes = 4096;

const parsed = parseConfig(process.env, readSecret);
if ('complaints' in parsed) {
  process.stderr.write(`${parsed.complaints.join('\n')}\n`);
  process.exitCode = 78;
} else if (!process.argv.includes('--check')) {
  const log = openLog(process.stdout, parsed.config.service.logLevel, maxBufferedLogBytes);
  // Who reads the log may go away; the service stays, and the lines were all that was lost.
  process.stdout.on('error', () => log.lost());
  process.once('uncaughtException', error => void leave(log, 1, 'crashed', { error: stackOf(error) }));
  openWatchdog(parsed.config.watchdogMs);
  await run(parsed.config, log);
}

async function run(config: Config, log: Log): Promise<void> {
  // The one variable that the database client reads whatever options it is given.
  delete process.env['PGTARGETSESSIONATTRS'];
  const database = { ...config.database, applicationName: config.service.name, ready: config.ready };
  const opening = openService({ config, log, openStore: onEvent => openStore({ ...database, onEvent }) });
  let signals = 0;
  const onSignal = async (signal: string): Promise<void> => {
    signals += 1;
    if (signals > 1) return leave(log, 1, 'drain_cut_short', { signal });
    const code = await (await opening).drain();
    return leave(log, code, 'exit', { signal, code });
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => void onSignal(signal));
  try {
    await opening;
  } catch (error) {
    await leave(log, 1, 'cannot_listen', { error: stackOf(error) });
  }
}

async function leave(log: Log, code: number, event: string, fields: Record<string, string | number>): Promise<void> {
  if (code === 0) log.info(event, fields);
  else log.error(event, fields);
  await log.flush(200);
  process.exit(code);
}

// A FIFO would wait for a writer and a device has no end: neither is a file that holds a secret.
function readSecret(path: string): string | null {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const buffer = Buffer.alloc(maxSecretBytes + 1);
    const size = fstatSync(file).isFile() ? readSync(file, buffer) : buffer.length;
    closeSync(file);
    return size > maxSecretBytes ? null : buffer.toString('utf8', 0, size);
  } catch {
    return null;
  }
}
