// The faults of plain processes, each with its recovery and with how it is seen. Inject and recover may each run twice.
import { randomBytes } from 'node:crypto';
import type { Context } from '../context.ts';
import { Misunderstood } from '../platform.ts';
import type { Ended, Fault, Faults, Node, Outcome, Spoilt } from '../platform.ts';
import { mainOf } from './service.ts';
import { isFrozen } from './stack.ts';
import type { ProcessStack, ProgramName } from './stack.ts';
import { until } from './until.ts';

type Inject = (stack: ProcessStack, spoilt?: Spoilt) => Promise<Ended | undefined | void>;
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
const impossible = 'port-dropped needs a firewall between client and node: not possible with plain processes';

export function openFaults(context: Context, { open, attempt }: Ways): Faults {
  const fault = ({ inject, recover, inPlace }: Own): Fault => ({
    inject: (node, spoilt) => attempt(async () => {
      const stack = open(node);
      if (stack.isUp() === undefined) throw new Error(`${node.name} is not up: run make up first`);
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
  return {
    'db-down': fault({ ...database, inject: stopDatabase }),
    'db-killed': fault({ ...database, inject: killDatabase }),
    'db-hung': fault({ inject: freezeDatabase, recover: startDatabase, inPlace: databaseIsFrozen }),
    'bad-credentials': fault({ inject: spoilPassword, recover: restorePassword, inPlace: passwordIsWrong }),
    'port-closed': fault({ ...service, inject: stopService }),
    'port-dropped': {
      ...fault({ ...nothingLeft, inject: async () => undefined }),
      inject: async () => ({ impossible }),
    },
    'process-killed': fault({ ...service, inject: killService }),
    'service-down': fault({ ...service, inject: stopService }),
    drain: fault({ ...service, inject: drain(context) }),
    'config-refused': fault({ ...nothingLeft, inject: refuse(context) }),
  };
}

/** Undoes all of them, whichever it was; starts nothing on a node that was halted. */
export function mendStack(stack: ProcessStack, context: Context): Promise<void> {
  return whenUp(stack, context, async () => {
    await restorePassword(stack);
    await startService(stack);
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

function isDown(name: ProgramName): (stack: ProcessStack) => Promise<boolean> {
  return async stack => (await stack.program(name)).pid === null;
}

/** Returns when every server process has ended; the supervisor starts a new server meanwhile. */
const killDatabase: Inject = async ({ cluster, supervision }) => {
  const all = cluster.processes();
  await supervision.signal('database', 'SIGKILL', true);
  await cluster.untilEnded(all);
};

const freezeDatabase: Inject = async stack => {
  const frozen = await stack.supervision.signal('database', 'SIGSTOP', true);
  if (!frozen) throw new Error(`${stack.node}: the database does not run`);
};

async function databaseIsFrozen(stack: ProcessStack): Promise<boolean> {
  return isFrozen(await stack.program('database'));
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
    return { exit: exit.code, ms: Math.round(performance.now() - began), stderr: '' };
  };
}

/** A throw-away second service with one setting spoilt; the running one notices nothing. */
function refuse({ local, settings }: Context): Inject {
  return async (stack, spoilt) => {
    if (spoilt === undefined) throw new Misunderstood('inject config-refused VARIABLE missing|malformed');
    const { [spoilt.variable]: taken, ...others } = await stack.settings();
    if (taken === undefined) {
      throw new Misunderstood(`no setting ${spoilt.variable}; known: ${Object.keys(others).join(' ')}`);
    }
    const env = { ...others, ...spoilt.how === 'malformed' ? { [spoilt.variable]: '%bad%' } : {} };
    const began = performance.now();
    const deadlineMs = settings.scaled(REFUSAL_MS);
    const { code, stderr } = await local.run([process.execPath, mainOf(settings.root)], { env, deadlineMs });
    return { exit: code, ms: Math.round(performance.now() - began), stderr };
  };
}
