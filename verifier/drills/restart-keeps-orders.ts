// restart-keeps-orders: the whole stack is stopped and started again, and every order is still there.
import { Broken } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import { describe } from '../client/api.ts';
import type { Order } from '../client/api.ts';
import { probe } from '../client/tcp.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { servedAgain } from '../experiment/fault.ts';

const budgets = { closedMs: 10_000, servedMs: 2_000 };

export const restartKeepsOrders: Drill = {
  name: 'restart-keeps-orders',
  title: 'the whole stack is stopped and started again',
  runbook: {
    looksLike: 'nothing answers between `make halt` and `make up`.',
    means: 'a planned restart of the whole stack.',
    takes: 'about 7 s on plain processes',
    byHand: '`make halt`, then `make up`',
    backToNormal: '`make up`; every order is there.',
  },
  faults: [],
  budgets,
  successor: 'any',
  plan: experiment => {
    const orders: Order[] = [];
    return {
      fault: [written(experiment, orders), halted(experiment)],
      recovery: startedAgain(experiment),
      afterwards: [kept(experiment, orders)],
    };
  },
};

function written({ api }: Experiment, orders: Order[]): Rung {
  return { name: 'written', checks: [{ id: 'accepted', claim: 'twenty orders are accepted', run: async () => {
    for (let turn = 1; turn <= 20; turn += 1) {
      const side = turn % 2 === 0 ? 'sell' : 'buy';
      const answer = await api.place({ symbol: `KEEP.${turn}`, side, qty: `${turn}.125` });
      if (answer.value === undefined) throw new Broken(`order ${turn}: wanted 201, saw ${describe(answer)}`);
      orders.push(answer.value);
    }
  } }] };
}

function halted(experiment: Experiment): Rung {
  const { target, control, scaled } = experiment;
  return { name: 'real', checks: [{ id: 'halted', claim: 'halt stops the stack', run: async say => {
    experiment.timeline.mark('inject');
    const { ms } = await experiment.halt();
    const { state } = await experiment.wait({
      what: 'TCP', withinMs: budgets.closedMs,
      look: () => probe(target, scaled(2_000)), good: seen => seen.state !== 'held',
    });
    const up = await control.targets([target.node]);
    if (up.length > 0) throw new Broken('halted, yet among the targets');
    say(`halt took ${ms} ms, the port is ${state}`);
  } }] };
}

function startedAgain(experiment: Experiment): Rung {
  return { name: 'recovery', checks: [{ id: 'up', claim: 'up starts it again', run: async say => {
    experiment.timeline.mark('recover');
    const { ms } = await experiment.up();
    experiment.timeline.mark('recovered');
    say(`up took ${ms} ms`);
    await servedAgain(experiment, budgets.servedMs, say);
  } }] };
}

function kept({ api }: Experiment, orders: readonly Order[]): Rung {
  return { name: 'kept', checks: [{ id: 'unchanged', claim: 'all twenty are there, unchanged', run: async () => {
    for (const order of orders) {
      const { value, ...answer } = await api.find(order.order_id);
      if (JSON.stringify(value) === JSON.stringify(order)) continue;
      const saw = `${describe(answer)} ${JSON.stringify(value)}`;
      throw new Broken(`order ${order.order_id}: wanted ${JSON.stringify(order)}, saw ${saw}`);
    }
  } }] };
}
