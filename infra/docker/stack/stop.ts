// Stopping the stack of a node: the service first, so that its last requests still find the database.
import type { Engine, Sight } from '../engine.ts';

/** Leaves nothing running; false when nothing did. A database in its first start is deaf, and has nothing to lose. */
export async function stop({ sh, options }: Engine, { all, api, db }: Sight): Promise<boolean> {
  const running = all.filter(({ status }) => ['running', 'paused', 'restarting'].includes(status));
  if (running.length === 0) return false;
  const paused = running.filter(({ status }) => status === 'paused').map(({ id }) => id);
  const others = running.filter(box => box !== api && box !== db);
  const inOrder = [...others, api, db].flatMap(box => box !== undefined && running.includes(box) ? [box.id] : []);
  await sh(stopping, [options.folder, db?.id ?? '', paused.join(' '), inOrder.join(' '), api?.id ?? ''], {
    deadlineMs: options.settings.scaled(120_000),
  });
  return true;
}

const stopping = `
set -eu
for id in $3; do docker unpause "$id" >/dev/null; done
if [ -n "$2" ] && [ -f "$1/first-start" ]; then docker kill "$2" >/dev/null 2>&1 || true; fi
# one that is frozen would not hear that it is to end
[ -z "$5" ] || docker kill -s CONT "$5" >/dev/null 2>&1 || true
for id in $4; do docker stop "$id" >/dev/null; done
`;

