// port-dropped: a firewall drops every packet to the service's port; nothing refuses, nothing answers.
import type { Drill } from '../experiment/drill.ts';
import { unreachable } from './port-closed.ts';

const budgets = { closedMs: 10_000 };

export const portDropped: Drill = {
  name: 'port-dropped',
  title: 'a firewall drops every packet to the port of the service',
  runbook: {
    looksLike: 'connections neither succeed nor fail; `make verify` is red at `reachable` with `silent`.',
    means: 'a firewall drops the packets.',
    takes: 'VMs only: elsewhere it is reported as not run',
    byHand: '`infra/control inject port-dropped`',
    backToNormal: '`infra/control recover port-dropped`',
  },
  faults: ['port-dropped'],
  budgets,
  red: ['reachable'],
  successor: 'any',
  plan: experiment => unreachable(experiment, 'port-dropped', budgets),
};
