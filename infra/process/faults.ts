// The faults of plain processes, each with its recovery and with how it is seen. Inject and recover may each run twice.
import { randomBytes } from 'node:crypto';
import type { Context } from '../context.ts';
import {
  databaseFaults, fillTable, injectInDatabase, isInDatabase, recoverAll, recoverInDatabase,
} from '../database/faults.ts';
import type { DatabaseFaultName } from '../database/faults.ts';
import { noDisk } from '../loop-disk.ts';
import { RolledBack, badBuild, fleetFaults, newBuild, noFleet, oldBuild, spoilEach } from '../platform.ts';
import type { Ended, Fault, Faults, FleetFaultName, Node, Outcome, Spoilt } from '../platform.ts';
import { send } from './proc.ts';
import { mainOf } from './service.ts';
import type { ProcessStack, ProgramName } from './stack.ts';
import { isFrozen } from './status.ts';
import { until } from './until.ts';

type Inject = (stack: ProcessStack, spoilt?: readonly Spoilt[]) => Promise<Ended[] | void>;
/** A fault on a node that is up. */
type Own = { inject: Inject; recover: Act; inPlace: (stack: ProcessStack) => Promise<boolean> };
type Act = (stack: ProcessStack) => Promise<void>;
export type Ways = {
  /** The stack of a node. */
  open: (node: Node) => ProcessStack;
  /** Turns what is thrown into an outcome. */
  attempt: <T>(act: () => Promise<T>) => Promise<Outcome<T>>;
};

const END_MS = 30_000;
const REFUSAL_MS = 5_000;
const LOCK_MS = 20_000;
/** Longer than the supervisor's longest pause, and a crash recovery. */
const HEAL_MS = 60_000;

export function openFaults(context: Context, { open, attempt }: Ways): Faults {
  const fault = ({ inject, recover, inPlace }: Own): Fault => ({
    inject: (node, spoilt) => attempt(async () => {
      const stack = open(node);
      if (stack.isUp() === undefined) throw new Error(`${node.name} is not up: run make up first`);
      await stack.noteReady();
      return await inject(stack, spoilt) ?? undefined;
    }),
    recover: node => attempt(() => whenUp(open(node), context, recover)),
    // what is not up is started whole, with its password, by `up`
    inPlace: async node => {
      const stack = open(node);
      return stack.isUp() !== undefined && await inPlace(stack);
    },
  });
  const database = { recover: startDatabase, inPlace: isDown('database') };
  const service = { recover: startService, inPlace: isDown('service') };
  const nothingLeft = { recover: async () => undefined, inPlace: async () => false };
  const impossible = (why: string): Fault => ({
    ...fault({ ...nothingLeft, inject: async () => undefined }), inject: async () => ({ impossible: why }),
  });
  const powerCut = fault({ inject: cutPower(context), recover: restorePower, inPlace: hasNoPower });
  const inDatabase = databaseFaults.map(name => [name, fault(bySql(name, context))] as const);
  return {
    ...Object.fromEntries(inDatabase) as Record<DatabaseFaultName, Fault>,
    ...Object.fromEntries(fleetFaults.map(name => [name, impossible(noFleet)])) as Record<FleetFaultName, Fault>,
    'disk-full': fault(fullDisk(bySql('disk-full', context), context)),
    'power-cut': {
      ...powerCut,
      inject: async node => (
        await open(node).cluster.disk.size() === null ? { impossible: noDisk } : powerCut.inject(node)
      ),
    },
    'db-down': fault({ ...database, inject: stopDatabase }),
    'db-killed': fault({ ...database, inject: killDatabase }),
    'db-restarted': fault({ ...database, inject: restartDatabase }),
    'db-hung': fault({ ...freezes('database'), recover: startDatabase }),
    'bad-credentials': fault({ inject: spoilPassword, recover: restorePassword, inPlace: passwordIsWrong }),
    'port-closed': fault({ ...service, inject: stopService }),
    'port-dropped': impossible('port-dropped needs a firewall between client and node: plain processes have none'),
    'network-cut': impossible('network-cut needs a network between service and database: plain processes share one'),
    loosened: impossible('loosened needs a container: plain processes have none'),
    'process-killed': fault({ ...service, inject: killService }),
    'service-down': fault({ ...service, inject: stopService }),
    drain: fault({ ...service, inject: drain(context) }),
    'config-refused': fault({ ...nothingLeft, inject: refuse(context) }),
    'service-frozen': fault({ ...freezes('service'), recover: startService }),
    'old-build': fault({
      inject: startOldBuild, recover: restoreBuild,
      // between the two builds there is none
      inPlace: async stack => await isDown('service')(stack) || await runs('old-build')(stack),
    }),
    upgrade: fault({
      inject: stack => stack.replaceService({ env: newBuild, tag: 'upgrade' }), recover: restoreBuild,
      inPlace: runs('upgrade'),
    }),
    'bad-upgrade': fault({
      inject: upgradeBadly, recover: restoreBuild,
      inPlace: async stack => await isDown('service')(stack) || await runs('bad-upgrade')(stack),
    }),
  };
}

/** Undoes all of them, whichever it was; starts nothing on a node that was halted. */
export function mendStack(stack: ProcessStack, context: Context): Promise<void> {
  return whenUp(stack, context, async () => {
    if (await stack.cluster.disk.isFull()) await stack.cluster.disk.free();
    await stack.startDatabase();
    await stack.cluster.sql(recoverAll);
    await stack.setPassword();
    await restoreBuild(stack);
  });
}

async function whenUp(stack: ProcessStack, { say }: Context, act: Act): Promise<void> {
  if (stack.isUp() === undefined) say(`${stack.node} is not up: nothing to recover`);
  else await act(stack);
}

const stopDatabase = (stack: ProcessStack): Promise<void> => stack.stopDatabase();
const startDatabase = (stack: ProcessStack): Promise<void> => stack.startDatabase();
const stopService = (stack: ProcessStack): Promise<void> => stack.stopService();
const startService = (stack: ProcessStack): Promise<void> => stack.startService();
const restartDatabase: Act = async stack => {
  await stack.stopDatabase();
  await stack.startDatabase();
};

function isDown(name: ProgramName): (stack: ProcessStack) => Promise<boolean> {
  return async stack => (await stack.program(name)).pid === null;
}

/** Returns when every server process has ended; the supervisor starts a new server meanwhile. */
const killDatabase: Inject = async ({ cluster, supervision }) => {
  const all = cluster.processes();
  await supervision.signal('database', 'SIGKILL', true);
  await cluster.untilEnded(all);
};

/** Stops it as with Ctrl-Z: its sockets stay open, and nobody answers. */
function freezes(name: ProgramName): Pick<Own, 'inject' | 'inPlace'> {
  return {
    inject: async stack => {
      const frozen = await stack.supervision.signal(name, 'SIGSTOP', true);
      if (!frozen) throw new Error(`${stack.node}: the ${name} does not run`);
    },
    inPlace: async stack => isFrozen(await stack.program(name)),
  };
}

const startOldBuild: Inject = async stack => {
  if (await runs('old-build')(stack)) return;
  await stack.stopService();
  await stack.startService({ env: oldBuild, tag: 'old-build' });
};

/** What `up` would have said is the finding; a build that was taken after all is a failure. */
const upgradeBadly: Inject = async stack => {
  const began = performance.now();
  try {
    await stack.replaceService({ env: badBuild, tag: 'bad-upgrade' });
  } catch (error) {
    if (!(error instanceof RolledBack)) throw error;
    return [{ exit: 1, ms: Math.round(performance.now() - began), stderr: error.message }];
  }
  throw new Error(`${stack.node}: a build that cannot be ready was taken for one that is`);
};

/** What served before a fault took its place. */
async function restoreBuild(stack: ProcessStack): Promise<void> {
  const strange = await Promise.all((['old-build', 'upgrade', 'bad-upgrade'] as const).map(tag => runs(tag)(stack)));
  if (strange.includes(true)) await stack.restoreService();
  else await stack.startService();
}

function runs(tag: 'old-build' | 'upgrade' | 'bad-upgrade'): (stack: ProcessStack) => Promise<boolean> {
  return async stack => {
    const seen = await stack.program('service');
    // one that is stopped would be started again as what it was
    return (seen.state !== 'stopped' && seen.tag === tag) || stack.served()?.tag === tag;
  };
}

/** What is wrong in the database itself; it has to run to be put right. */
function bySql(name: DatabaseFaultName, { settings }: Context): Own {
  return {
    inject: ({ cluster }) => injectInDatabase(name, cluster, settings.scaled(LOCK_MS)),
    recover: async ({ cluster, startDatabase: start }) => {
      await start();
      await recoverInDatabase(name, cluster);
    },
    inPlace: ({ cluster }) => isInDatabase(name, cluster),
  };
}

/** With a disk of its own it is really full, and making room is all of its recovery; else as by SQL. */
function fullDisk(bySql: Own, { settings }: Context): Own {
  const hasDisk = async ({ cluster }: ProcessStack) => await cluster.disk.size() !== null;
  return {
    inject: async stack => {
      if (!await hasDisk(stack)) return bySql.inject(stack);
      await fillTable(stack.cluster, stack.cluster.disk);
    },
    recover: async stack => {
      if (!await hasDisk(stack)) return bySql.recover(stack);
      await stack.cluster.disk.free();
      // one that ended for want of room is started again by its supervisor
      await until(async () => await isDown('database')(stack) ? undefined : true, settings.scaled(HEAL_MS));
      await bySql.recover(stack);
    },
    inPlace: async stack => await hasDisk(stack) ? stack.cluster.disk.isFull() : bySql.inPlace(stack),
  };
}

/** Nothing more reaches the disk, then nothing runs any more: as when the power of all of it goes. */
function cutPower({ settings }: Context): Inject {
  return async stack => {
    const { cluster, supervision } = stack;
    // without power already, when neither its disk nor a server is there
    if (cluster.processes().length > 0 || await cluster.disk.isOn()) await cluster.disk.cut();
    const seen = await supervision.status();
    // its programs go with it, and nobody starts them again
    if (seen !== undefined) send(seen.pid, 'SIGKILL');
    const all = cluster.processes();
    cluster.signal('SIGKILL');
    await cluster.untilEnded(all);
    const isGone = async (): Promise<true | undefined> => await supervision.status() === undefined || undefined;
    if (await until(isGone, settings.scaled(END_MS)) === undefined) {
      throw new Error(`${stack.node}: the supervisor does not end`);
    }
    await stack.stopService();
    await cluster.disk.unmount();
  };
}

const restorePower: Act = async stack => {
  await stack.startDatabase();
  await stack.startService();
};

async function hasNoPower(stack: ProcessStack): Promise<boolean> {
  if (await stack.cluster.disk.size() === null) return false;
  if (!await stack.cluster.disk.isOn()) return true;
  return await isDown('database')(stack) || isDown('service')(stack);
}

async function passwordIsWrong({ cluster }: ProcessStack): Promise<boolean> {
  return !await cluster.takesPassword();
}

const spoilPassword: Inject = async stack => {
  await stack.startDatabase();
  await stack.setPassword(randomBytes(24).toString('base64url'));
  const sessions = "pg_stat_activity where usename = 'orders'";
  await stack.cluster.sql(`select pg_terminate_backend(pid) from ${sessions};\n`);
};

async function restorePassword(stack: ProcessStack): Promise<void> {
  await stack.startDatabase();
  await stack.setPassword();
}

const killService: Inject = async stack => {
  await stack.supervision.signal('service', 'SIGKILL');
  if ((await stack.program('service')).state === 'stopped') throw new Error(`${stack.node}: the service does not run`);
};

function drain({ settings }: Context): Inject {
  return async stack => {
    const { pid } = await stack.program('service');
    const began = performance.now();
    const asked = pid !== null && await stack.supervision.signal('service', 'SIGTERM');
    if (!asked) throw new Error(`${stack.node}: the service does not run`);
    const exit = await until(async () => {
      const seen = (await stack.program('service')).exit;
      return seen?.pid === pid ? seen : undefined;
    }, settings.scaled(END_MS));
    if (exit === undefined) {
      throw new Error(`${stack.node}: the service had not ended ${END_MS / 1000} s after SIGTERM`);
    }
    return [{ exit: exit.code, ms: Math.round(performance.now() - began), stderr: '' }];
  };
}

/** Throw-away second services with one setting spoilt each; the running one notices nothing. */
function refuse({ local, settings }: Context): Inject {
  return async (stack, spoilt) => {
    const right = await stack.settings();
    const deadlineMs = settings.scaled(REFUSAL_MS);
    const ended: Ended[] = [];
    for (const env of spoilEach(right, spoilt)) {
      const began = performance.now();
      const { code, stderr } = await local.run([process.execPath, mainOf(settings.root)], { env, deadlineMs });
      ended.push({ exit: code, ms: Math.round(performance.now() - began), stderr });
    }
    return ended;
  };
}
