// port-dropped: a firewall drops every packet to the service's port; nothing refuses, nothing answers.
import type { Drill } from '../scene.ts';
import { unreachable } from './port-closed.ts';

export const portDropped: Drill = {
  name: 'port-dropped',
  title: 'a firewall drops every packet to the port of the service',
  reproduce: 'infra/control inject port-dropped (virtual machines only; elsewhere the drill is not run, and says so)',
  expect: 'TCP is silent: make verify is red at reachable after its deadline, everything above it is skipped, exit 1',
  recover: 'infra/control recover port-dropped; make verify is green again',
  takes: 'about 30 s',
  rungs: scene => unreachable(scene, 'port-dropped'),
};
