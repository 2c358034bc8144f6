// restart-keeps-orders: the whole stack is stopped and started again, and every order is still there.
import { describe } from '../api.ts';
import type { Order } from '../api.ts';
import { Broken } from '../ladder.ts';
import type { Rung } from '../ladder.ts';
import type { Drill, Scene } from '../scene.ts';
import { inTime, rung, servedAgain, soundAfter, soundBefore } from '../steps.ts';
import { probe } from '../tcp.ts';
import { until } from '../until.ts';

export const restartKeepsOrders: Drill = {
  name: 'restart-keeps-orders',
  title: 'the whole stack is stopped and started again',
  reproduce: 'make halt && make up',
  expect: 'the port is closed in between; afterwards every order is there with the values it was accepted with',
  recover: 'make up',
  takes: 'about 7 s with plain processes, a minute or more with machines',
  rungs: scene => {
    const orders: Order[] = [];
    return [soundBefore(scene), written(scene, orders), halted(scene), startedAgain(scene), kept(scene, orders), soundAfter(scene, 'any')];
  },
};

function written(scene: Scene, orders: Order[]): Rung {
  return rung('written', {
    'twenty orders are accepted': async () => {
      for (let turn = 1; turn <= 20; turn += 1) {
        const answer = await scene.api.place({ symbol: `KEEP.${turn}`, side: turn % 2 === 0 ? 'sell' : 'buy', qty: `${turn}.125` });
        if (answer.value === undefined) throw new Broken(`order ${turn}: wanted 201, saw ${describe(answer)}`);
        orders.push(answer.value);
      }
    },
  });
}

function halted(scene: Scene): Rung {
  return rung('real', {
    'halt stops the stack': async say => {
      scene.timeline.mark('inject');
      const told = await scene.control.halt();
      if (told.exit !== 0) throw new Broken(`halt: exit ${told.exit}: ${told.stderr.trim()}`);
      const sight = await inTime('TCP', until(() => probe(scene.target, scene.options.scaled(2_000)), ({ state }) => state !== 'held', scene.options.scaled(10_000)));
      const { stdout } = await scene.control.targets();
      if (stdout.split('\n').some(line => line.startsWith(`${scene.target.node} `))) throw new Broken('halted, yet told as up');
      say(`halt took ${told.ms} ms, the port is ${sight.state}`);
    },
  });
}

function startedAgain(scene: Scene): Rung {
  return rung('recovery', {
    'up starts it again': async say => {
      scene.timeline.mark('recover');
      const told = await scene.control.up();
      scene.timeline.mark('recovered');
      if (told.exit !== 0) throw new Broken(`up: exit ${told.exit}: ${told.stderr.trim().split('\n').slice(-3).join(' / ')}`);
      say(`up took ${told.ms} ms`);
      await servedAgain(scene, say);
    },
  });
}

function kept(scene: Scene, orders: readonly Order[]): Rung {
  return rung('kept', {
    'all twenty are there, unchanged': async () => {
      for (const order of orders) {
        const { value, ...answer } = await scene.api.find(order.order_id);
        if (JSON.stringify(value) !== JSON.stringify(order)) throw new Broken(`order ${order.order_id}: wanted ${JSON.stringify(order)}, saw ${describe(answer)} ${JSON.stringify(value)}`);
      }
    },
  });
}
