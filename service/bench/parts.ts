// The parts of a run: start, rows, growth, processes. Each starts the systems that it measures, and ends them.
import { fill, statements } from './dataset.ts';
import type { Dataset } from './dataset.ts';
import { runPgbench, runWrk } from './load.ts';
import type { Figures, Load } from './load.ts';
import type { Name, System, Testbed } from './testbed.ts';

const rows = ['/health', '/ready', 'POST /order', 'GET /orders/<id>', '1 write, 9 reads'] as const;
export type Row = (typeof rows)[number];

export type Plan = { rounds: number; seconds: number; connections: number[]; sizes: number[]; fleets: number[] };

/** Figures of each round; no bare, no pgbench where there is nothing to compare with. processes: how many of ours. */
export type Cell = {
  part: 'rows' | 'growth' | 'processes'; row: Row; connections: number; orders: number; processes: number;
  ours: Figures[]; bare: Figures[]; pgbench: number[];
};

/** ms: of each start. Megabytes of a process that has answered once, and the most at any time under load. */
export type Footprint = { ms: number[]; idleMb: number; loadedMb: number };

/** accepted: orders that ours answered with 2xx. stored: rows that came meanwhile. */
export type Course = {
  testbed: Testbed; plan: Plan; say(text: string): void;
  cells: Cell[]; footprints: Record<Name, Footprint>; accepted: number; stored: number;
};

const usualOrders = 10_000;
const usualConnections = 32;
const write = 'POST /order?symbol=BTC&side=buy&qty=1';

export const parts = {
  async start({ testbed, footprints }: Course): Promise<void> {
    for (let round = 0; round < 5; round += 1) {
      for (const name of ['ours', 'bare'] as const) {
        const system = await startServing(testbed, name);
        footprints[name].ms.push(system.startMs);
        footprints[name].idleMb = (await system.memoryMb()).now;
        await system.stop();
      }
    }
  },

  async rows(course: Course): Promise<void> {
    const { testbed, plan, footprints } = course;
    const [ours, bare] = [await startServing(testbed, 'ours'), await startServing(testbed, 'bare')];
    for (const row of rows) {
      let dataset = await fill(testbed, usualOrders);
      await warmUp(testbed, [ours, bare], row, dataset);
      for (const connections of plan.connections) {
        // Every cell begins with the same table, whatever those before it have written.
        if (requestsOf(row, dataset.sample).includes(write)) dataset = await fill(testbed, usualOrders);
        await race(course, { part: 'rows', ours: [ours], bare, row, connections, dataset });
      }
    }
    for (const system of [ours, bare]) {
      footprints[system.name].loadedMb = (await system.memoryMb()).peak;
      await system.stop();
    }
  },

  async growth(course: Course): Promise<void> {
    const { testbed, plan, say } = course;
    const [ours, bare] = [await startServing(testbed, 'ours'), await startServing(testbed, 'bare')];
    for (const orders of plan.sizes) {
      say(`making ${orders} orders`);
      const dataset = await fill(testbed, orders);
      for (const row of ['GET /orders/<id>', 'POST /order'] as const) {
        await warmUp(testbed, [ours, bare], row, dataset);
        const connections = usualConnections;
        await race(course, { part: 'growth', ours: [ours], bare, row, connections, dataset });
      }
    }
    await Promise.all([ours.stop(), bare.stop()]);
  },

  async processes(course: Course): Promise<void> {
    const { testbed, plan } = course;
    const ours: System[] = [];
    for (const processes of plan.fleets) {
      while (ours.length < processes) ours.push(await startServing(testbed, 'ours'));
      for (const row of ['GET /orders/<id>', 'POST /order'] as const) {
        const dataset = await fill(testbed, usualOrders);
        await warmUp(testbed, ours, row, dataset);
        const connections = usualConnections;
        await race(course, { part: 'processes', ours, bare: null, row, connections, dataset });
      }
    }
    await Promise.all(ours.map(system => system.stop()));
  },
};

type Race = Pick<Cell, 'part' | 'row' | 'connections'> & { ours: System[]; bare: System | null; dataset: Dataset };

async function race(course: Course, { part, ours, bare, row, connections, dataset }: Race): Promise<void> {
  const { testbed, plan: { rounds, seconds }, say } = course;
  const { orders, sample } = dataset;
  const cell: Cell = { part, row, connections, orders, processes: ours.length, ours: [], bare: [], pgbench: [] };
  const load = { requests: requestsOf(row, sample), connections, seconds };
  const sql = { 'POST /order': statements.insert, 'GET /orders/<id>': statements.select(orders) }[String(row)];
  const clients = Math.min(connections, usualConnections);
  for (let round = 0; round < rounds; round += 1) {
    cell.ours.push(await (row === 'POST /order' ? pressAndCount(course, ours, load) : press(testbed, ours, load)));
    if (bare) cell.bare.push(await press(testbed, [bare], load));
    if (bare && sql) cell.pgbench.push(await runPgbench(testbed, testbed.login, { sql, clients, seconds }));
  }
  course.cells.push(cell);
  const rates = [cell.ours, cell.bare].map(all => all.map(({ rate }) => Math.round(rate)).join(' ') || '–');
  say(`${row}, connections ${connections}, orders ${orders}, processes ${ours.length}: ${rates.join(' against ')}`);
}

/** The connections are spread over the systems; latencies are those of the slowest. */
async function press(testbed: Testbed, systems: System[], load: Load): Promise<Figures> {
  const share = { ...load, connections: load.connections / systems.length };
  const all = await Promise.all(systems.map(({ port }) => runWrk(testbed, port, share)));
  return all.reduce((sum, one) => ({
    rate: sum.rate + one.rate, accepted: sum.accepted + one.accepted, errors: sum.errors + one.errors,
    p50Ms: Math.max(sum.p50Ms, one.p50Ms), p99Ms: Math.max(sum.p99Ms, one.p99Ms),
  }));
}

// An answer without its row is a lost order. Rows without an answer were under way when the load ended.
async function pressAndCount(course: Course, systems: System[], load: Load): Promise<Figures> {
  const count = async (): Promise<number> => Number(await course.testbed.psql('select count(*) from orders'));
  const before = await count();
  const figures = await press(course.testbed, systems, load);
  course.accepted += figures.accepted;
  course.stored += (await count()) - before;
  return figures;
}

async function warmUp(testbed: Testbed, systems: System[], row: Row, { sample }: Dataset): Promise<void> {
  const load = { requests: requestsOf(row, sample), connections: 8, seconds: 1 };
  await Promise.all(systems.map(({ port }) => runWrk(testbed, port, load)));
}

export function requestsOf(row: Row, ids: string[]): string[] {
  const reads = ids.map(id => `GET /orders/${id}`);
  if (row === 'POST /order') return [write];
  if (row === 'GET /orders/<id>') return reads;
  if (row === '1 write, 9 reads') return reads.flatMap((read, at) => (at % 9 === 0 ? [write, read] : [read]));
  return [`GET ${row}`];
}

/** Ours makes the table, so it is the first that is started. */
async function startServing(testbed: Testbed, name: Name): Promise<System> {
  const system = await testbed.start(name);
  const endMs = performance.now() + 15_000;
  for (const request of ['GET /ready', write]) {
    const [method = '', path = ''] = request.split(' ');
    for (;;) {
      const options = { method, signal: AbortSignal.timeout(5000) };
      const answer = await fetch(`http://127.0.0.1:${system.port}${path}`, options);
      const text = await answer.text();
      if (answer.ok) break;
      if (performance.now() > endMs) throw new Error(`${name} answers ${request} with ${answer.status}: ${text}`);
    }
  }
  return system;
}
