// restart-keeps-orders: the whole stack is stopped and started again, and every order is still there.
import { randomUUID } from 'node:crypto';
import { Broken } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import { describe } from '../client/api.ts';
import type { Order } from '../client/api.ts';
import { probe } from '../client/tcp.ts';
import type { Drill } from '../experiment/drill.ts';
import { NotPossible } from '../experiment/experiment.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { keepsTo, servedAgain } from '../experiment/fault.ts';
import { draftOrder } from '../experiment/load.ts';
import { isDurable } from '../experiment/reckoning.ts';

const budgets = { closedMs: 10_000 };

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
    const took: Took = { up: 0, halt: 0 };
    return {
      fault: [
        { name: 'durable', checks: [isDurable(experiment)] },
        written(experiment, orders), halted(experiment, took),
      ],
      recovery: startedAgain(experiment, took),
      afterwards: [kept(experiment, orders, took)],
    };
  },
};

/** How long each verb took, in ms. */
type Took = Record<'up' | 'halt', number>;

function written(experiment: Experiment, orders: Order[]): Rung {
  const { place } = experiment;
  return { name: 'written', checks: [{ id: 'accepted', claim: 'twenty orders are accepted', run: async () => {
    // one of its machines would be halted, and the others would serve
    const { containers } = experiment.before.facts;
    if (containers === 'tasks') throw new NotPossible('a fleet has node-lost for one of its machines');
    for (let turn = 1; turn <= 20; turn += 1) {
      const answer = await place(draftOrder(), randomUUID());
      if (answer.value === undefined) throw new Broken(`order ${turn}: wanted 201, saw ${describe(answer)}`);
      orders.push(answer.value);
    }
  } }] };
}

function halted(experiment: Experiment, took: Took): Rung {
  const { target, control, scaled } = experiment;
  return { name: 'real', checks: [{ id: 'halted', claim: 'halt stops the stack', run: async say => {
    experiment.timeline.mark('inject');
    took.halt = (await experiment.halt()).ms;
    const { state } = await experiment.wait({
      what: 'TCP', wanted: 'a port that is not held', withinMs: budgets.closedMs,
      look: () => probe(target, scaled(2_000)), good: seen => seen.state !== 'held', tell: seen => seen.state,
    });
    const up = await control.targets([target.node]);
    if (up.length > 0) throw new Broken('halted, yet among the targets');
    say(`halt took ${took.halt} ms, the port is ${state}`);
  } }] };
}

function startedAgain(experiment: Experiment, took: Took): Rung {
  return { name: 'recovery', checks: [{ id: 'up', claim: 'up starts it again', run: async say => {
    experiment.timeline.mark('recover');
    took.up = (await experiment.up()).ms;
    experiment.timeline.mark('recovered');
    say(`up took ${took.up} ms`);
    await servedAgain(experiment, say);
  } }] };
}

function kept(experiment: Experiment, orders: readonly Order[], took: Took): Rung {
  const { find } = experiment;
  return { name: 'kept', checks: [
    { id: 'unchanged', claim: 'all twenty are there, unchanged', run: async () => {
      for (const order of orders) {
        const { value, ...answer } = await find(order.order_id);
        if (JSON.stringify(value) === JSON.stringify(order)) continue;
        const saw = value === undefined ? describe(answer) : tellOrder(value);
        throw new Broken(`order ${order.order_id} is lost: wanted ${tellOrder(order)}, saw ${saw}`);
      }
    } },
    { id: 'in-budget', claim: 'halt and up kept to their budgets', run: async () => {
      keepsTo(experiment, 'halt', took.halt);
      keepsTo(experiment, 'up', took.up);
    } },
  ] };
}

function tellOrder({ side, qty, symbol, created_at }: Order): string {
  return `${side} ${qty} ${symbol} of ${created_at}`;
}
