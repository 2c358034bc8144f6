// The platform of plain processes: the compiled service under node, with a PostgreSQL cluster of its own, per node.
// Needs Linux with setpriv, Node >= 20 and PostgreSQL's server programs. All that it makes is in STATE/process/NODE.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { answered } from '../platform.ts';
import type { Node, Outcome, Platform } from '../platform.ts';
import { removeIfEmpty } from './database/cluster.ts';
import { mendStack, openFaults } from './faults.ts';
import { holds } from './log.ts';
import { openStack } from './stack.ts';
import type { ProcessStack } from './stack.ts';

/** Looks at nothing yet. */
export function openProcess(context: Context): Platform {
  const open = (node: Node): ProcessStack => openStack(node, context);
  /** On every node, also after one that failed: what can be stopped is. */
  const onEach = async (nodes: Node[], act: (stack: ProcessStack) => Promise<void>): Promise<Outcome> => {
    const failed: string[] = [];
    for (const node of nodes) {
      const outcome = await attempt(() => act(open(node)));
      if ('failed' in outcome) failed.push(outcome.failed);
    }
    return failed.length > 0 ? { failed: failed.join('\n') } : { done: undefined };
  };
  return {
    name: 'process',
    up: async nodes => {
      for (const node of nodes) {
        const outcome = await attempt(() => open(node).up());
        if (!('done' in outcome)) return outcome;
      }
      return { done: undefined };
    },
    halt: nodes => onEach(nodes, stack => stack.halt()),
    destroy: async nodes => {
      const outcome = await onEach(nodes, stack => stack.destroy());
      removeIfEmpty(join(context.settings.state, 'process'));
      return outcome;
    },
    status: async nodes => {
      const lines = [];
      for (const node of nodes) {
        const seen = await attempt(() => open(node).status());
        // one that cannot be seen hides no other
        const unknown = { line: `${node.name}: unknown (${'failed' in seen ? seen.failed : ''})`, runs: false };
        lines.push({ node: node.name, ...'done' in seen ? seen.done : unknown });
      }
      return lines;
    },
    logs: (nodes, write) => onEach(nodes, async stack => stack.logs(write)),
    targets: async nodes => nodes.flatMap(node => {
      const place = open(node).isUp();
      return place === undefined ? [] : [{ node: node.name, host: place.address, port: place.port }];
    }),
    facts: node => attempt(() => open(node).facts()),
    machine: async () => ({ impossible: 'its nodes are processes of this machine' }),
    leaks: node => attempt(async () => {
      const secret = await readFile(open(node).cluster.passwordFile, 'utf8');
      const folder = join(context.settings.state, 'process', node.name);
      return ['service', 'database'].filter(which => holds(join(folder, `${which}.log`), secret.trim()));
    }),
    inDatabase: node => open(node).cluster.beside,
    mend: node => attempt(() => mendStack(open(node), context)),
    faults: openFaults(context, { open, attempt }),
  };
}

function attempt<T>(act: () => Promise<T>): Promise<Outcome<T>> {
  return answered(async () => ({ done: await act() }));
}
