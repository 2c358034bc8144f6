// A fake system's tables, which can be lost, and pg_dump and pg_restore beside them: what backup-restores needs.
import { readFile, writeFile } from 'node:fs/promises';
import { done } from './fake-system.ts';
import type { Play } from './fake-system.ts';
import type { Order } from './honest.ts';

/** `dumps`: a backup has what there is, or nothing. `restores`: the orders come back, or it is only said. */
export function losingTables({ dumps = true, restores = true } = {}): Play {
  let aside: Order[] | undefined;
  return async (verb, [first, options], { honest: { orders } }) => {
    const put = (some: readonly Order[]) => some.forEach(order => orders.set(order.order_id, order));
    if (verb === 'verify') return aside === undefined ? undefined : 'lasting';
    if (verb === 'inDatabase') return inDatabase(String(first), options as Options);
    if (verb === 'recover') {
      put(aside ?? []);
      aside = undefined;
    }
    if (first !== 'tables-lost') return undefined;
    if (verb === 'inPlace') return aside !== undefined;
    if (verb === 'inject') {
      aside = [...aside ?? [], ...orders.values()];
      orders.clear();
    }
    return done;

    async function inDatabase(script: string, { input, into }: Options) {
      const read = async () => JSON.parse(await readFile(input?.file ?? '', 'utf8')) as Order[];
      const said = (stdout: string) => ({ code: 0, stdout, stderr: '' });
      if (into !== undefined) {
        await writeFile(into.file, JSON.stringify(dumps ? [...orders.values()] : []));
        return said('');
      }
      if (input === undefined) return said(`${orders.size}|1`);
      const held = await read();
      if (!script.includes('drop table')) {
        return said(`${held.length > 0 ? `${held.length} order\n` : ''} 1 version 1\n 1 whole\n`);
      }
      if (restores) put(held);
      return said(String(held.length));
    }
  };
}

type Options = { input?: { file: string }; into?: { file: string } };
