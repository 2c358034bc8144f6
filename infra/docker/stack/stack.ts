// The Compose stack of one node, on whatever host its engine is: shared by the platforms docker and vagrant.
import type { ContainerFacts, InDatabase, Outcome } from '../../platform.ts';
import { attempt, openEngine, present } from '../engine.ts';
import type { Engine } from '../engine.ts';
import { diskOf, hasDisk } from './disk.ts';
import { writeEnv } from './env-file.ts';
import { faultsOf, mendAll } from './faults/faults.ts';
import { removeAll } from './files.ts';
import type { Container } from '../inspect.ts';
import { facts } from '../look-inside.ts';
import type { Images, StackFaults, StackOptions, WantedImages } from '../options.ts';
import { runBeside } from './database.ts';
import { clearFirewall } from './network.ts';
import { start } from './start.ts';
import { stop } from './stop.ts';

export type Stack = {
  /**
   * Returns when the service is ready at address:port as seen from this machine, or says who is to blame. A failure
   * leaves running what ran before, or brings it back; where nothing ran nothing is left, as `status().stopped` tells.
   */
  up: (images: Images) => Promise<Outcome>;
  halt: () => Promise<Outcome>;
  destroy: () => Promise<Outcome>;
  /** `api running (healthy)  db running (healthy)`: the caller adds node and address. `stopped`: none runs. */
  status: () => Promise<{ line: string; runs: boolean; stopped: boolean }>;
  logs: (write: (line: string) => void) => Promise<Outcome>;
  /** `wanted`: the images of this checkout. */
  facts: (wanted: WantedImages) => Promise<Outcome<ContainerFacts>>;
  /** The containers in whose logs the role's password stands. */
  leaks: () => Promise<Outcome<string[]>>;
  inDatabase: InDatabase;
  /** `isUp`: containers that were stopped are started again; without it nothing is started. */
  mend: (isUp: boolean) => Promise<Outcome>;
  faults: StackFaults;
};

/** Nothing is looked at or started yet. */
export function openStack(options: StackOptions): Stack {
  const { node, say } = options;
  const engine = openEngine(options);
  return {
    up: images => attempt(() => start(engine, writeEnv(options, images))),
    halt: () => attempt(async () => {
      say(`${node.name}: ${await stop(engine, await engine.look()) ? 'stopped, its data is kept' : 'nothing runs'}`);
      if (await hasDisk(engine)) await diskOf(engine).unmount();
    }),
    destroy: () => attempt(async () => {
      const survey = await engine.survey();
      await stop(engine, survey);
      await clearFirewall(engine);
      if (await hasDisk(engine)) await diskOf(engine).remove();
      await removeAll(engine, survey);
      say(`${node.name}: gone, with its data`);
    }),
    status: () => status(engine),
    logs: write => attempt(() => logs(engine, write)),
    facts: wanted => facts(engine, wanted),
    leaks: () => attempt(() => leaks(engine)),
    inDatabase: async (script, more) => runBeside(engine, present(engine, await engine.look(), 'db'), script, more),
    mend: isUp => attempt(() => mendAll(engine, isUp)),
    faults: faultsOf(engine),
  };
}

async function status(engine: Engine): Promise<{ line: string; runs: boolean; stopped: boolean }> {
  const sight = await attempt(engine.look);
  if ('failed' in sight) return { line: sight.failed, runs: false, stopped: false };
  const { api, db } = 'done' in sight ? sight.done : {};
  const boxes = [api, db];
  return {
    line: `api ${stateOf(api)}  db ${stateOf(db)}`,
    runs: boxes.every(box => box?.status === 'running'),
    stopped: !boxes.some(box => ['running', 'paused', 'restarting'].includes(box?.status ?? '')),
  };
}

function stateOf(box: Container | undefined): string {
  if (box === undefined) return 'absent';
  return box.health === null ? box.status : `${box.status} (${box.health})`;
}

async function logs({ look, options, sh }: Engine, write: (line: string) => void): Promise<void> {
  const sight = await look();
  const boxes = [sight.api, sight.db].flatMap(box => box === undefined ? [] : [box.service, box.id]);
  const onLine = (line: string) => write(`${options.node.name} ${line}`);
  await sh(logging, [String(options.settings.lines), ...boxes], { onLine });
}

async function leaks({ look, options, sh }: Engine): Promise<string[]> {
  const sight = await look();
  const boxes = [sight.api, sight.db, sight.preflight].flatMap(box => box === undefined ? [] : [box.service, box.id]);
  return (await sh(leaking, [`${options.folder}/secrets/database_password`, ...boxes])).split('\n').filter(Boolean);
}

const leaking = `
secret=$1
shift
[ -s "$secret" ] && [ -r "$secret" ] || { echo "no password in $secret" >&2; exit 1; }
while [ $# -gt 0 ]; do
  docker logs --tail 1 "$2" >/dev/null 2>&1 || { echo "no log of $1" >&2; exit 1; }
  if docker logs "$2" 2>&1 | grep -qF -f "$secret"; then echo "$1"; fi
  shift 2
done
`;

const logging = `
lines=$1
shift
while [ $# -gt 0 ]; do
  docker logs --tail "$lines" "$2" 2>&1 | sed "s/^/$1 | /"
  shift 2
done
`;
