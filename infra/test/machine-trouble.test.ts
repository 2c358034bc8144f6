// A machine's own failures: made in it or by Vagrant, looked at with make verify, healed as RUNBOOK.md says.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { missing, openMachines, quote, scale, shell, told, typed } from './typed.ts';
import type { Order } from './typed.ts';
import { until } from './until.ts';

const HOUR_MS = 3_600_000;
/** The clocks of host and machine agree as far as an emulated one keeps pace. */
const APART_MS = 600_000;

test('machines in trouble', { skip: missing, timeout: 5_400_000 }, async t => {
  const { address, base, step, status, find } = await openMachines(t);
  const key = randomUUID();
  let order: Order = { order_id: '' };

  const place = async (idempotencyKey: string = randomUUID()): Promise<Order> => {
    const ask = `curl -sS --fail-with-body -X POST -H 'Idempotency-Key: "${idempotencyKey}"'`;
    return JSON.parse(await typed(`${ask} "${base}/order?symbol=TROUBLE&side=buy&qty=1"`)) as Order;
  };
  /** What verify says when it is red: the points that broke, and its verdict. */
  const red = async () => {
    const { code, stdout } = await shell('make verify');
    assert.equal(code, 2, `make gives 2 for a verification that is red\n${stdout.slice(-2_000)}`);
    return stdout;
  };
  const green = () => typed('make verify');
  const untilReady = () => until(() => status('/ready'), seen => seen === '200', 180_000 * scale);
  const stillThere = async () => assert.deepEqual(await find(order.order_id), order);

  await step('all machines are started, and an order is placed', async () => {
    await typed('make up');
    await green();
    order = await place(key);
    await stillThere();
  });

  await step('the clock an hour ahead: orders carry its time, keys hold, verify is green', async () => {
    await asRoot("date -s '+1 hour'");
    assert.equal(await status('/ready'), '200');
    assert.ok(isOff(await place(), HOUR_MS));
    assert.deepEqual(await place(key), order, 'a key does not expire with the clock');
    await green();
    await stillThere();
    await asRoot("date -s '-1 hour'");
    await green();
  });
  await step('the clock an hour back: the service serves; verify is red at versioned, and says why', async () => {
    await asRoot("date -s '-1 hour'");
    assert.equal(await status('/ready'), '200');
    assert.ok(isOff(await place(), -HOUR_MS));
    assert.deepEqual(await place(key), order);
    assert.match(await red(), /^not ok .*control versioned[^]*if that clock was set back, set it right/m);
    await asRoot("date -s '+1 hour'");
    await green();
    await stillThere();
  });

  await step('the root disk full: refused, nothing accepted is lost; room heals it', async () => {
    await asRoot(fill);
    const accepted = await writeUntilRefused(base);
    assert.match(await red(), /verdict: .*versioned yes · (ready no|ready yes · usable no)/);
    await asRoot('rm /full');
    await untilReady();
    await green();
    for (const one of [order, ...accepted]) assert.deepEqual(await find(one.order_id), one);
    t.diagnostic(`${accepted.length} orders were accepted on the full disk, all there`);
  });

  await step('the engine killed: verify has a verdict, make up brings it back', async () => {
    await asRoot('systemctl kill -s KILL docker');
    const said = await told('make verify');
    assert.match(said, /^# verdict: (?!none)/m);
    t.diagnostic(`the engine just killed: ${/^# verdict: .*/m.exec(said)?.[0]}`);
    await typed('make up');
    await green();
    await stillThere();
  });

  await step('worker1 off: control serves on, verify is red at worker1; make up brings it back', async () => {
    await typed('cd vagrant && vagrant halt -f worker1');
    const said = await red();
    assert.match(said, /^not ok .*worker1 online/m);
    assert.match(said, /^ok .*control usable/m);
    await stillThere();
    assert.match(await told('make status'), /^worker1 +machine (shutoff|poweroff)/m);
    await typed('make up');
    await green();
  });

  await step('the private network down: verify is red below alive; up again it needs no hand', async () => {
    const device = `$(ip -o -4 addr show | awk '$4 ~ "^${address.replaceAll('.', '[.]')}/" { print $2 }')`;
    // Vagrant's own way in is another network
    await asRoot(`ip link show ${device} >/dev/null && echo ${device} >/run/cut && ip link set ${device} down`);
    assert.match(await red(), /verdict: .*(online|reachable) no/);
    await asRoot('ip link set "$(cat /run/cut)" up');
    await untilReady();
    await green();
    await stillThere();
  });
});

// a command of root may take the blocks that are kept for it as well
const fill = `size=1073741824; touch /full
while [ $size -ge 4096 ]; do
  fallocate -o $(stat -c %s /full) -l $size /full 2>/dev/null || size=$((size / 2))
done`;

function asRoot(script: string): Promise<string> {
  return typed(`cd vagrant && vagrant ssh control -c ${quote(`sudo sh -c ${quote(script)}`)}`);
}

function isOff({ created_at }: Order, wishMs: number): boolean {
  return Math.abs(Date.parse(String(created_at)) - Date.now() - wishMs) < APART_MS;
}

/** Writers fill what room the database still has; gives what was accepted until each was refused. */
async function writeUntilRefused(base: string): Promise<Order[]> {
  const accepted: Order[] = [];
  const end = performance.now() + 120_000 * scale;
  const write = async () => {
    for (;;) {
      assert.ok(performance.now() < end, `the disk is full, and all of ${accepted.length} orders were accepted`);
      const answer = await fetch(`${base}/order?symbol=FULL&side=sell&qty=1`, {
        method: 'POST', headers: { connection: 'close' }, signal: AbortSignal.timeout(20_000 * scale),
      });
      if (answer.status !== 201) return assert.equal(answer.status, 503, await answer.text());
      accepted.push(await answer.json() as Order);
    }
  };
  await Promise.all(Array.from({ length: 8 }, write));
  return accepted;
}
