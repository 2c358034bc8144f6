// The rung `online`, where nodes are machines: each is what it is called, and reaches every service that is up.
import type { MachineFacts, Outcome } from '#infra/platform';
import type { Stage } from '../results/registry.ts';
import { broken, climb } from './climb.ts';
import type { Check } from './climb.ts';

/**
 * What was asked of each machine by name. `seen`: every service that is up, by node, with the instance that tells the
 * host who it is; undefined where none does.
 */
export type Machines = {
  told: ReadonlyMap<string, Outcome<MachineFacts>>; seen: ReadonlyMap<string, string | undefined>; strict: boolean;
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
  const { node, address, hostname, addresses, boot_id: boot } = facts;
  return [
    { id: 'own-name', claim: `it is called ${node}`, run: async () => {
      if (hostname !== node) throw trouble(node, `the name ${node}`, hostname);
    } },
    { id: 'own-address', claim: `it has the address ${address}`, run: async () => {
      if (!addresses.includes(address)) throw trouble(node, address, addresses.join(' ') || 'no address');
    } },
    { id: 'own-boot', claim: 'it is a machine of its own, by its boot id', run: async say => {
      // of two that are one, the later is the one too many
      const others = answering(all);
      const same = others.slice(0, others.findIndex(one => one.node === node)).find(one => one.boot_id === boot);
      if (same !== undefined) throw trouble(node, 'a boot id of its own', `${boot} on ${same.node} too`);
      say(`${node} is boot ${boot}`);
    } },
    reachesServices(facts, all),
  ];
}

/** The same instance as the host does; one that tells the host nothing, the same as the other machines do. */
function reachesServices({ node, reached }: MachineFacts, all: Machines): Check {
  const looks = [...all.seen].map(([service, onHost]) => {
    // what a machine says of its own service shows nobody the way there
    const others = answering(all).filter(one => one.node !== service);
    const wanted = onHost ?? others.flatMap(one => instanceOn(service, one.reached) ?? [])[0];
    return { service, wanted, got: instanceOn(service, reached) };
  });
  const wrong = looks.find(({ wanted, got }) => wanted !== undefined && got !== wanted);
  const unknown = looks.filter(({ wanted }) => wanted === undefined).map(({ service }) => service);
  return {
    id: 'reaches-services',
    claim: 'it reaches every service that is up',
    // the rungs of the service itself say what is wrong with it
    skip: async () => wrong === undefined && (unknown.length > 0 || looks.length === 0)
      ? `which instance is on ${unknown.join(', ') || 'any node'} is told to nobody: not to this host, to no machine`
      : undefined,
    run: async say => {
      if (wrong !== undefined) {
        throw trouble(node, `instance ${wrong.wanted} on ${wrong.service}`, tellReached(wrong.service, reached));
      }
      say(`${node} reaches ${looks.map(({ service }) => service).join(', ')}`);
    },
  };
}

function answering({ told }: Machines): MachineFacts[] {
  return [...told.values()].flatMap(one => 'done' in one ? one.done : []);
}

function instanceOn(service: string, reached: MachineFacts['reached']): string | undefined {
  const answer = reached.find(one => one.node === service);
  return answer !== undefined && 'status' in answer && answer.status === 200 ? answer.instance_id : undefined;
}

function tellReached(service: string, reached: MachineFacts['reached']): string {
  const answer = reached.find(one => one.node === service);
  if (answer === undefined) return 'nothing';
  if ('trouble' in answer) return answer.trouble;
  return answer.status === 200 ? answer.instance_id : String(answer.status);
}

function trouble(node: string, wanted: string, saw: string): Error {
  return broken(`${node} online`, wanted, saw);
}
