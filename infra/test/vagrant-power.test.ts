// The power of a machine: cut at once, seen by what Vagrant says of it, and given back by an up of that machine.
import assert from 'node:assert/strict';
import test from 'node:test';
import { openHost } from './vagrant-fakes.ts';

const done = { done: undefined };

test('power-cut switches one machine off without asking it, and recover starts it with its stack', async t => {
  const { vagrant, calls, control, worker1 } = await openHost(t);
  await vagrant().up([control, worker1]);
  await calls();
  const { 'power-cut': fault } = vagrant().faults;
  assert.equal(await fault.inPlace(control), false);
  await calls();
  assert.deepEqual(await fault.inject(control), done);
  assert.deepEqual(await fault.inject(control), done, 'it may be cut twice');
  assert.deepEqual(await calls(), ['vagrant status --machine-readable', 'vagrant status --machine-readable',
    'virsh -q -c qemu:///system destroy orders_control', 'vagrant status --machine-readable']);
  assert.deepEqual([await fault.inPlace(control), await fault.inPlace(worker1)], [true, false]);
  assert.equal((await vagrant().targets([control])).length, 1, 'nobody has halted it');
  await calls();
  assert.deepEqual(await fault.recover(control), done);
  const called = await calls();
  assert.ok(called.includes('vagrant up control'), called.join('\n'));
  assert.ok(called.some(call => call.startsWith('control: docker up ')), called.join('\n'));
  assert.equal(await fault.inPlace(control), false);
});

test('recover without a fault starts a machine that was cut, and starts none that was halted', async t => {
  const { vagrant, calls, control } = await openHost(t);
  await vagrant().up([control]);
  assert.deepEqual(await vagrant().faults['power-cut'].inject(control), done);
  await calls();
  assert.deepEqual(await vagrant().mend(control), done);
  assert.ok((await calls()).includes('vagrant up control'));
  await vagrant().halt([control]);
  await calls();
  assert.deepEqual(await vagrant().faults['power-cut'].recover(control), done);
  assert.equal(await vagrant().faults['power-cut'].inPlace(control), false);
  assert.deepEqual(await calls(), []);
});

test('a machine that cannot be switched off is a failure, and a disk of its own is refused', async t => {
  const { vagrant, calls, control, set } = await openHost(t);
  await vagrant().up([control]);
  const status = (provider: string) => `17,control,state,running\n17,control,provider-name,${provider}\n`;
  for (const [provider, why] of [['hyperv', /hyperv cannot be cut/], ['virtualbox', /^VBoxManage failed: /]] as const) {
    await set('prints', status(provider));
    const outcome = await vagrant().faults['power-cut'].inject(control);
    assert.match('failed' in outcome ? outcome.failed : JSON.stringify(outcome), why);
  }
  await set('prints', '');
  await calls();
  const refused = await vagrant({ ORDERS_DISK_MB: '256' }).up([control]);
  assert.ok('failed' in refused && refused.failed.includes('the whole machine is cut'), JSON.stringify(refused));
  assert.deepEqual(await calls(), []);
});
