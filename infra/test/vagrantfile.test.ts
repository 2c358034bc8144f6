// The Vagrantfile, as Vagrant itself reads it.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { root } from './stack.ts';
import { lacking } from './tools.ts';

const run = promisify(execFile);

const skip = lacking('vagrant', 'vagrant vagrant-libvirt');

test('the Vagrantfile is valid for both providers, each without the plugin of the other', { skip }, async t => {
  const home = await mkdtemp(join(tmpdir(), 'orders-vagrant-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  // Vagrant asks a provider's program for its version before it looks at that provider's settings.
  const program = '#!/bin/sh\ncase $1 in -v | --version) echo 7.0.20r163906 ;; esac\n';
  await writeFile(join(home, 'VBoxManage'), program, { mode: 0o755 });
  const env = {
    ...process.env, PATH: `${home}:${process.env['PATH'] ?? ''}`, SCALE: '1.5', VAGRANT_HOME: home,
    VAGRANT_DOTFILE_PATH: join(home, 'dot'), VAGRANT_CHECKPOINT_DISABLE: '1',
  };
  const validate = (more: NodeJS.ProcessEnv) =>
    run('vagrant', ['validate', '--no-tty'], { cwd: join(root, 'vagrant'), env: { ...env, ...more } });
  await validate({ VAGRANT_NO_PLUGINS: '1', VAGRANT_DEFAULT_PROVIDER: 'virtualbox' });
  const plugins = await run('vagrant', ['plugin', 'list'], { env });
  if (!plugins.stdout.includes('vagrant-libvirt')) {
    return t.skip('Vagrant has no plugin for libvirt (Debian: apt-get install vagrant-libvirt)');
  }
  await validate({ VAGRANT_DEFAULT_PROVIDER: 'libvirt', ORDERS_EMULATE: '1' });
});
