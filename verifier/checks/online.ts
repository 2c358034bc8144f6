// The rung `online`, where nodes are machines: each is what it is called, and reaches every service that is up.
import type { MachineFacts, Outcome } from '#infra/platform';
import type { Stage } from '../results/registry.ts';
import { broken, climb } from './climb.ts';
import type { Check } from './climb.ts';

/** What was asked of each machine by name. `seen`: the instance that the host finds on a node, if one answers there. */
export type Machines = {
  told: ReadonlyMap<string, Outcome<MachineFacts>>; seen: ReadonlyMap<string, string>; strict: boolean;
};

/** One machine after the other. Gives the nodes whose own machine is in trouble. */
export async function climbMachines(stage: Stage, machines: Machines): Promise<Set<string>> {
  const troubled = new Set<string>();
  for (const [node, told] of machines.told) {
    const facts = 'done' in told ? told.done : undefined;
    const answers: Check = { id: 'machine-answers', claim: 'its machine runs and answers', run: async () => {
      if (!('done' in told)) throw trouble(node, 'a machine that answers', Object.values(told).join());
    } };
    const more = facts === undefined ? planned : checksOf(facts, machines);
    const rungs = [[answers], more].map(checks => ({ name: 'online', checks }));
    if (await climb(stage, rungs, { id: { node }, strict: machines.strict }) !== null) troubled.add(node);
  }
  return troubled;
}

/** Not looked at where the machine does not answer. */
const planned: Check[] = ['own-name', 'own-address', 'own-boot', 'reaches-services'].map(id => (
  { id, claim: `${id} is looked at`, run: async () => {} }
));

function checksOf(facts: MachineFacts, all: Machines): Check[] {
  const { node, address, hostname, addresses, boot_id: boot, reached } = facts;
  return [
    { id: 'own-name', claim: `it is called ${node}`, run: async () => {
      if (hostname !== node) throw trouble(node, `the name ${node}`, hostname);
    } },
    { id: 'own-address', claim: `it has the address ${address}`, run: async () => {
      if (!addresses.includes(address)) throw trouble(node, address, addresses.join(' ') || 'no address');
    } },
    { id: 'own-boot', claim: 'it is a machine of its own, by its boot id', run: async say => {
      // of two that are one, the later is the one too many
      const others = [...all.told.values()].flatMap(one => 'done' in one ? one.done : []);
      const same = others.slice(0, others.findIndex(one => one.node === node)).find(one => one.boot_id === boot);
      if (same !== undefined) throw trouble(node, 'a boot id of its own', `${boot} on ${same.node} too`);
      say(`${node} is boot ${boot}`);
    } },
    { id: 'reaches-services', claim: 'it reaches every service that answers the host', run: async say => {
      const wrong = [...all.seen].flatMap(([service, instance]) => {
        const answer = reached.find(one => one.node === service);
        const saw = answer === undefined ? 'nothing' : 'trouble' in answer ? answer.trouble
          : answer.status === 200 ? answer.instance_id : String(answer.status);
        return saw === instance ? [] : [{ wanted: `instance ${instance} on ${service}`, saw }];
      });
      const [first] = wrong;
      if (first !== undefined) throw trouble(node, first.wanted, first.saw);
      say(`${node} reaches ${[...all.seen.keys()].join(', ') || 'no service, for none answers the host'}`);
    } },
  ];
}

function trouble(node: string, wanted: string, saw: string): Error {
  return broken(`${node} online`, wanted, saw);
}
