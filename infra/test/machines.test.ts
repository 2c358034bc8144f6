// The specification's runbook typed on this host line by line, and machines in trouble: make lab TARGET=machines.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { root } from './stack.ts';
import { exit, missing, openMachines, scale, told, typed } from './typed.ts';
import type { Order } from './typed.ts';

test('the machines', { skip: missing, timeout: 5_400_000 }, async t => {
  const { address, base, step, status, find, nodes, second } = await openMachines(t);
  let order: Order = { order_id: '' };

  await step('golden path: make up, make verify', async () => {
    await typed('make up');
    assert.match(await typed('make verify'), verdictOf('skipped'), 'nothing was promised before this start');
    const where = (await readFile(join(root, 'RUNBOOK.md'), 'utf8')).match(/^(TARGET|BASE)=.+$/gm) ?? [];
    assert.equal(await typed([...where, 'echo "$BASE $HOST $PORT"'].join('\n')), `${base} ${address} 8000\n`);
  });
  await step('from outside: every machine answers a ping and to its name, the service answers on control', async () => {
    for (const node of nodes) {
      await typed(`ping -c 3 -i 0.5 -W 5 ${node.address}`);
      assert.equal((await typed(`cd vagrant && vagrant ssh ${node.name} -c hostname`)).trim(), node.name);
    }
    assert.equal(await outside(address), '200 200 200');
    const lines = await typed('make status');
    for (const { name } of nodes.slice(1)) assert.match(lines, new RegExp(`^${name} +machine running  no stack`, 'm'));
  });
  await step('TCP, health, ready and version from the host; an order goes in and comes back', async () => {
    await typed(`nc -zv ${address} 8000`);
    for (const path of ['/health', '/ready', '/version']) assert.equal(await status(path), '200', path);
    order = JSON.parse(await typed(`curl -sS -X POST "${base}/order?symbol=BTC&side=buy&qty=1"`)) as Order;
    assert.deepEqual([order['symbol'], order['side'], order['qty']], ['BTC', 'buy', 1]);
    assert.deepEqual(await find(order.order_id), order);
  });
  await step('persistence proof: make halt, make up, and the order is there', async () => {
    await typed('make halt');
    await assert.rejects(typed(`nc -zv -w 5 ${address} 8000`), 'halted, yet TCP is accepted');
    await typed('make up');
    assert.deepEqual(await find(order.order_id), order);
    assert.match(await typed('make verify STRICT=1'), verdictOf('yes'));
  });
  await step('by hand in the VM: compose stop db, TCP held, health 200, ready 503; start db, make verify', async () => {
    const inside = (line: string) => typed(`cd vagrant && vagrant ssh control -c '${line}'`);
    await inside('docker compose -f infra/docker-compose.yml stop db');
    await typed(`nc -zv ${address} 8000`);
    assert.equal(await outside(address), '200 503 200');
    await inside('docker compose -f infra/docker-compose.yml start db');
    await typed('make verify');
  });
  await step('halted behind the stack\'s back: reported, and make up brings it back with every order', async () => {
    await typed('cd vagrant && vagrant halt control');
    assert.match(await told('make status'), /^control +machine (shutoff|poweroff)/m);
    assert.equal(await exit('make verify'), 2, 'make gives 2 for a verification that is red');
    await typed('make up && make verify');
    assert.deepEqual(await find(order.order_id), order);
  });
  await step('killed hard while orders are written: after make up every accepted order is there', async () => {
    const accepted = await writeUntilKilled(base);
    await typed('make up');
    const lost: unknown[] = [];
    for (const one of accepted) {
      const found = await find(one.order_id);
      if (JSON.stringify(found) !== JSON.stringify(one)) lost.push({ promised: one, found });
    }
    assert.deepEqual(lost, [], `of ${accepted.length} accepted orders`);
    t.diagnostic(`${accepted.length} orders accepted until the machine was killed, all there`);
    await typed('make verify');
  });
  await step('a second node with the stack: it answers at its SERVICE_IP, and the machines reach both', async () => {
    await typed(`make up NODE=${second.name}`);
    assert.equal(await outside(second.address), '200 200 200');
    const said = await typed('make verify');
    assert.match(said, /verdict: online yes/);
    for (const { name } of nodes) assert.match(said, new RegExp(`^# ${name} reaches control, ${second.name}$`, 'm'));
  });
  await step('stop: make halt', async () => {
    await typed('make halt');
    const said = await told('make status');
    for (const { name } of nodes) assert.match(said, new RegExp(`^${name} +machine (shutoff|poweroff)`, 'm'));
  });
});

/** What a script that knows nothing but an address sees of /health, /ready and /version. */
function outside(address: string): Promise<string> {
  const asks = 'for path in health ready version; do curl -s -o /dev/null -m 20 -w "%{http_code} " "$BASE/$path"; done';
  return typed(`SERVICE_IP=${address}\nBASE=http://$SERVICE_IP:8000\n${asks}`).then(codes => codes.trim());
}

/** All that can be looked at on a machine is yes, `lasting` what it says. */
function verdictOf(lasting: 'yes' | 'skipped'): RegExp {
  const below = ['online', 'listening', 'published', 'reachable', 'alive', 'versioned', 'ready', 'usable'];
  return new RegExp(`verdict: ${below.map(rung => `${rung} yes`).join(' · ')} · lasting ${lasting} · contained yes`);
}

/** Four writers post orders; after a hundred the machine's power is cut, and what was accepted until then is given. */
async function writeUntilKilled(base: string): Promise<Order[]> {
  const accepted: Order[] = [];
  const stop = new AbortController();
  const write = async () => {
    while (!stop.signal.aborted) {
      const answer = await fetch(`${base}/order?symbol=CUT&side=sell&qty=${accepted.length + 1}`, {
        method: 'POST', headers: { 'idempotency-key': randomUUID(), connection: 'close' }, signal: stop.signal,
      }).then(async one => one.status === 201 ? await one.json() as Order : undefined, () => undefined);
      if (answer !== undefined) accepted.push(answer);
    }
  };
  const writers = Promise.all(Array.from({ length: 4 }, write));
  const end = performance.now() + 60_000 * scale;
  while (accepted.length < 100) {
    assert.ok(performance.now() < end, `only ${accepted.length} orders were accepted in time`);
    await pause(50);
  }
  // the hypervisor's process itself, so that nothing in the machine or around it can end in order
  const pidFile = '/run/libvirt/qemu/orders_control.pid';
  const killed = `kill -KILL "$(cat ${pidFile})"`;
  await typed(`if [ -f ${pidFile} ]; then ${killed}; else VBoxManage controlvm orders-control poweroff; fi`);
  stop.abort();
  await writers;
  return accepted;
}
