// The faults of a node and their recoveries. A fault is born with its recovery, and both may run twice.
import { setTimeout as pause } from 'node:timers/promises';
import {
  databaseFaults, fillTable, injectInDatabase, isInDatabase, recoverAll, recoverInDatabase,
} from '../../../database/faults.ts';
import type { DatabaseFaultName } from '../../../database/faults.ts';
import { noDisk } from '../../../loop-disk.ts';
import { faultNames, isOfFleet, noFleet } from '../../../platform.ts';
import type { Ended, FaultName, FleetFaultName, Outcome, Spoilt } from '../../../platform.ts';
import { attempt, present } from '../../engine.ts';
import type { Engine, Service } from '../../engine.ts';
import type { Container } from '../../inspect.ts';
import type { StackFaults } from '../../options.ts';
import { awaken, isPasswordSpoilt, spoilPassword, superuserOf, wakeDatabase } from '../database.ts';
import { cutPower, diskOf, hasDisk, powerOn } from '../disk.ts';
import {
  askReady, clearFirewall, closePort, dropPort, isPortClosed, isPortDropped, reconnect, republish,
} from '../network.ts';
import { isLoosened, loosen, restoreApi, startOldBuild } from './changed-api.ts';
import { isDerived } from './derived.ts';
import type { Derived } from './derived.ts';
import { refuseConfig, removeRefused } from './refuse-config.ts';
import { drain, end, isFrozen, signal, thaw } from './signals.ts';
import { bringOrigin, upgrade, upgradeBadly } from './upgrade.ts';

type StackFault = StackFaults[FaultName];
/** As in StackFault, but failing by throwing; `inPlace` is asked of a node that is up only. */
type Row = {
  inject: (engine: Engine, spoilt?: readonly Spoilt[]) => Promise<Ended[] | void>;
  recover: (engine: Engine, isUp: boolean) => Promise<void>;
  inPlace: (engine: Engine) => Promise<boolean>;
};

const LOCK_MS = 20_000;
/** Longer than the engine's longest pause. */
const HEAL_MS = 70_000;
const faults: Record<Exclude<FaultName, FleetFaultName>, Row> = {
  ...Object.fromEntries(databaseFaults.map(name => [name, bySql(name)])) as Record<DatabaseFaultName, Row>,
  'disk-full': fullDisk(bySql('disk-full')),
  'power-cut': {
    inject: async engine => cutPower(engine, await engine.look()),
    recover: async (engine, isUp) => {
      await mendDatabase(engine, isUp);
      await mendService(engine, isUp);
    },
    inPlace: async engine => await hasDisk(engine)
      && (!await diskOf(engine).isOn() || await isDown('db')(engine) || await isDown('api')(engine)),
  },
  'db-down': { inject: stops('db'), recover: mendDatabase, inPlace: isDown('db') },
  'db-killed': { inject: kills('db'), recover: mendDatabase, inPlace: isDown('db') },
  'db-hung': {
    inject: async engine => {
      const db = await see(engine, 'db');
      if (db.status !== 'paused') await engine.docker('pause', db.id);
    },
    recover: mendDatabase,
    inPlace: async engine => (await see(engine, 'db')).status === 'paused',
  },
  'bad-credentials': {
    inject: async engine => spoilPassword(engine, await see(engine, 'db')),
    recover: mendRole,
    inPlace: async engine => isPasswordSpoilt(engine, await see(engine, 'db')),
  },
  'port-closed': {
    inject: async engine => {
      await see(engine, 'api');
      await closePort(engine);
    },
    recover: mendPort,
    inPlace: async engine => isPortClosed(engine, await see(engine, 'api')),
  },
  'port-dropped': { inject: dropPort, recover: clearFirewall, inPlace: isPortDropped },
  'process-killed': { inject: kills('api'), recover: mendService, inPlace: isDown('api') },
  'service-down': { inject: stops('api'), recover: mendService, inPlace: isDown('api') },
  drain: { inject: drain, recover: mendService, inPlace: isDown('api') },
  'config-refused': {
    inject: refuseConfig,
    recover: async engine => removeRefused(engine, await engine.look()),
    inPlace: async engine => (await engine.look()).refused !== undefined,
  },
  'service-frozen': {
    inject: async engine => { await signal(engine, 'api', 'STOP'); },
    recover: async (engine, isUp) => {
      await thaw(engine);
      await mendService(engine, isUp);
    },
    inPlace: async engine => isFrozen(engine, await see(engine, 'api')),
  },
  'old-build': {
    inject: startOldBuild, recover: mendBuild,
    inPlace: runsDerived('old-build'),
  },
  upgrade: { inject: upgrade, recover: mendBuild, inPlace: runsDerived('upgrade') },
  'bad-upgrade': {
    inject: async engine => [await upgradeBadly(engine)],
    recover: mendBuild, inPlace: runsDerived('bad-upgrade'),
  },
  loosened: { inject: loosen, recover: mendBuild, inPlace: async engine => isLoosened(await see(engine, 'api')) },
  'network-cut': {
    inject: async engine => {
      const db = await see(engine, 'db');
      if (isApart(engine, db)) return;
      await engine.docker('network', 'disconnect', `${engine.options.project}_private`, db.id);
    },
    recover: async (engine, isUp) => {
      await reconnect(engine, await engine.look());
      await mendDatabase(engine, isUp);
    },
    inPlace: async engine => isApart(engine, await see(engine, 'db')),
  },
  'db-restarted': {
    inject: async engine => {
      const db = await see(engine, 'db');
      await engine.docker('restart', db.id);
      await wakeDatabase(engine, db, false);
    },
    recover: mendDatabase, inPlace: isDown('db'),
  },
};

export function faultsOf(engine: Engine): StackFaults {
  const { firewall } = engine.options;
  const impossible = { impossible: 'port-dropped needs a packet filter of our own, as in the VMs' };
  const rows = faultNames.map(name => {
    if (isOfFleet(name)) {
      const absent = { recover: async () => ({ done: undefined }), inPlace: async () => false };
      return [name, { inject: async () => ({ impossible: noFleet }), ...absent }] as const;
    }
    const row = faults[name];
    const fault: StackFault = {
      inject: async spoilt => {
        if (name === 'port-dropped' && !firewall) return impossible;
        // whose stack it is comes first
        const cuts = name !== 'power-cut' || await attempt(async () => await engine.look() && hasDisk(engine));
        if (typeof cuts === 'object' && 'done' in cuts && !cuts.done) return { impossible: noDisk };
        return endedBy(() => row.inject(engine, spoilt));
      },
      recover: isUp => attempt(() => row.recover(engine, isUp)),
      inPlace: async isUp => isUp && await row.inPlace(engine),
    };
    return [name, fault] as const;
  });
  return Object.fromEntries(rows) as StackFaults;
}

/** Undoes whatever was broken, known or not. */
export async function mendAll(engine: Engine, isUp: boolean): Promise<void> {
  await clearFirewall(engine);
  const sight = await engine.look();
  if (await hasDisk(engine) && await diskOf(engine).isFull()) await diskOf(engine).free();
  await removeRefused(engine, sight);
  await reconnect(engine, sight);
  await mendRole(engine, isUp);
  if (isUp) await superuserOf(engine, await see(engine, 'db')).sql(recoverAll);
  await thaw(engine);
  await mendBuild(engine, isUp);
  if (isUp) await mendForwarder(engine);
}

async function endedBy(act: () => Promise<Ended[] | void>): Promise<Outcome<Ended[] | undefined>> {
  const outcome = await attempt(act);
  return 'done' in outcome ? { done: outcome.done ?? undefined } : outcome;
}

async function see(engine: Engine, service: Service): Promise<Container> {
  return present(engine, await engine.look(), service);
}

function stops(service: Service): Row['inject'] {
  return async engine => {
    await engine.docker('stop', (await see(engine, service)).id);
  };
}

function kills(service: Service): Row['inject'] {
  return async engine => {
    await end(engine, service, 'KILL');
  };
}

function isDown(service: Service): Row['inPlace'] {
  return async engine => !['running', 'paused'].includes((await engine.look())[service]?.status ?? 'absent');
}

/** Nothing is started on a node that was halted. */
async function mendDatabase(engine: Engine, isUp: boolean, role = false): Promise<void> {
  const sight = await engine.look();
  if (isUp) {
    const db = present(engine, sight, 'db');
    if (!await hasDisk(engine) || await diskOf(engine).isOn()) return wakeDatabase(engine, db, role);
    await powerOn(engine, sight);
    return wakeDatabase(engine, await see(engine, 'db'), role);
  }
  if (sight.db?.status === 'paused') await engine.docker('unpause', sight.db.id);
}

function mendRole(engine: Engine, isUp: boolean): Promise<void> {
  return mendDatabase(engine, isUp, true);
}

async function mendService(engine: Engine, isUp: boolean): Promise<void> {
  if (!isUp) return;
  const { settings } = engine.options;
  const end = performance.now() + settings.scaled(2_000);
  let api = await see(engine, 'api');
  // The engine is about to start it: left to that, the restart is counted as one.
  while (api.status === 'restarting' && performance.now() < end) {
    await pause(settings.scaled(100));
    api = await see(engine, 'api');
  }
  if (awaken(api) !== 'none') await engine.docker(awaken(api), api.id);
}

function runsDerived(name: Derived): Row['inPlace'] {
  return async engine => isDerived(engine, await see(engine, 'api'), name);
}

async function mendBuild(engine: Engine, isUp: boolean): Promise<void> {
  if (!isUp) return;
  await restoreApi(engine, await see(engine, 'api'));
  await bringOrigin(engine);
  await mendService(engine, isUp);
}

/** What is wrong in the database itself; it has to run to be put right. */
function bySql(name: DatabaseFaultName): Row {
  const superuser = async (engine: Engine) => superuserOf(engine, await see(engine, 'db'));
  return {
    inject: async engine => (
      injectInDatabase(name, await superuser(engine), engine.options.settings.scaled(LOCK_MS))
    ),
    recover: async (engine, isUp) => {
      await mendDatabase(engine, isUp);
      if (isUp) await recoverInDatabase(name, await superuser(engine));
    },
    inPlace: async engine => isInDatabase(name, await superuser(engine)),
  };
}

/** With a disk of its own it is really full, and making room is all of its recovery; else as by SQL. */
function fullDisk(row: Row): Row {
  return {
    inject: async engine => {
      const superuser = superuserOf(engine, await see(engine, 'db'));
      if (!await hasDisk(engine)) return row.inject(engine);
      await fillTable(superuser, diskOf(engine));
    },
    recover: async (engine, isUp) => {
      await engine.look();
      if (!await hasDisk(engine)) return row.recover(engine, isUp);
      if (await diskOf(engine).isFull()) await diskOf(engine).free();
      if (!isUp) return;
      // one that ended for want of room is started again by the engine, whose pauses grow to a minute
      const { settings } = engine.options;
      const end = performance.now() + settings.scaled(HEAL_MS);
      while ((await see(engine, 'db')).status === 'restarting' && performance.now() < end) {
        await pause(settings.scaled(200));
      }
      await row.recover(engine, isUp);
    },
    inPlace: async engine => await hasDisk(engine) ? diskOf(engine).isFull() : row.inPlace(engine),
  };
}

/** The database is off the network on which the service finds it. */
function isApart({ options }: Engine, db: Container): boolean {
  return !db.networks.includes(`${options.project}_private`);
}

async function mendPort(engine: Engine, isUp: boolean): Promise<void> {
  await reconnect(engine, await engine.look());
  if (isUp) await mendForwarder(engine);
}

/** The service runs and is not to be found where it is published. */
async function mendForwarder(engine: Engine): Promise<void> {
  const { address, port, settings } = engine.options;
  const answer = await askReady(address, port, settings.scaled(2_000));
  if ('status' in answer || !answer.refused) return;
  const api = await see(engine, 'api');
  // one that has just been started does not listen yet; by its own clock, which may have been set back since
  const age = Math.abs(Number(await engine.sh('date +%s', [])) * 1_000 - Date.parse(api.startedAt));
  if (api.status === 'running' && age > settings.scaled(5_000)) await republish(engine, api);
}
