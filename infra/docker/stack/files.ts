// What a stack keeps in its node's folder: settings, secrets, and the mark of a first start that is not over.
import { join } from 'node:path';
import { linesOf } from '../engine.ts';
import type { Engine, Survey } from '../engine.ts';
import { hasDisk } from './disk.ts';
import { isMadeWith, isOwn, readEnv } from './env-file.ts';
import { namesOfDerived } from './faults/derived.ts';
import { askReady } from './network.ts';
import type { Images } from '../options.ts';

/**
 * Writes settings, makes secrets, undoes pauses. A database whose first start was cut off is made again; one that
 * finished its first start with no `up` to see it stays, since it may have taken orders.
 */
export async function prepare(
  engine: Engine, { all, api, db, volumes }: Survey, images: Images, settled: string,
): Promise<void> {
  const { sh, options } = engine;
  const { node, folder, project, say } = options;
  await writeSettings(options, settled);
  const paused = all.filter(({ status }) => status === 'paused').map(({ id }) => id);
  const volume = volumes.find(name => name === `${project}_data`) ?? '';
  const said = linesOf(await sh(preparing, [
    folder, volume, db?.id ?? '', images.database, [api, db].flatMap(box => box?.id ?? []).join(' '),
    await hasDisk(engine) ? 'disk' : '', ...paused,
  ]));
  const tell = (what: string) => say(`${node.name}: ${what}`);
  if (said.includes('secrets')) tell('its secrets had gone: both containers are made again with new ones');
  if (said.includes('cut off')) tell('the first start of the database was cut off, it is made again');
  if (said.includes('whole')) tell('the first start of the database went on without its make up, and is over');
  if (said.includes('gone')) tell('the volume of the database has gone, and every order with it; it begins empty');
}

/** Where Compose finds the settings of this node: here, and typed by hand. */
export async function writeSettings(options: Engine['options'], text: string): Promise<void> {
  const { host, folder, infra } = options;
  const forOperator = isOperators(options) ? [{ path: join(infra, '.env'), text }] : [];
  await host.write([{ path: join(folder, 'env'), text }, ...forOperator]);
}

/** The settings that were ready last; before there was a file of them, those of the last `up`. */
export async function servedSettings(engine: Engine): Promise<string | undefined> {
  const { host, folder } = engine.options;
  for (const file of [servedFile(engine), join(folder, 'env')]) {
    const text = await host.read(file);
    if (text !== undefined && isOwn(folder, text)) return text;
  }
  return undefined;
}

/** What runs, and is ready, is the way back, though the `up` that began it was killed before it could see that. */
export async function noteReady(engine: Engine, { api, db }: Pick<Survey, 'api' | 'db'>): Promise<void> {
  const { host, folder, settings } = engine.options;
  const begun = await host.read(join(folder, 'env'));
  if (begun === undefined || !isOwn(folder, begun) || begun === await host.read(servedFile(engine))) return;
  if (api?.status !== 'running' || !isMadeWith({ api, db }, begun)) return;
  const { ORDERS_ADDRESS: address = '', ORDERS_PORT: port } = readEnv(begun);
  const answer = await askReady(address, Number(port), settings.scaled(2_000));
  if ('status' in answer && answer.status === 200) await host.write([{ path: servedFile(engine), text: begun }]);
}

export function servedFile({ options }: Engine): string {
  return join(options.folder, 'served');
}

/** The role is set: from now on the database is a whole one. */
export const firstStartIsOver = 'rm -f "$folder/first-start"';

/** Whether plain Compose in this checkout (or in a VM) means this node: its settings are then in infra/.env, too. */
export function isOperators({ platform, node, settings }: Engine['options']): boolean {
  return platform === 'vagrant' || (node.name === 'control' && settings.state === join(settings.root, '.state'));
}

// Secrets of 256 bits each. The folder keeps other users out; its files must be readable for the containers' users.
// Containers that were made with former ones go: each would know one or the other, depending on when it started last.
// A first start that was cut off leaves a database without its role or its door, and its image would take it for a
// whole one. The mark is there from before the volume is until `up` has set the role. But when that `up` was killed the
// database goes on alone, and serves: then role.sh has left a mark of its own among the data. It is looked for when the
// container has gone, so that nothing can be served after the look; that it cannot be looked for is a failure.
const preparing = `
set -eu
folder=$1 volume=$2 db=$3 image=$4 both=$5 disk=$6 new=''
shift 6
umask 077
known=$(ls "$folder/secrets" 2>/dev/null || true)
mkdir -p "$folder/secrets"
chmod 700 "$folder" "$folder/secrets"
for secret in database_password postgres_password; do
  file=$folder/secrets/$secret
  [ ! -s "$file" ] || continue
  head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\\n' > "$file.new"
  chmod 444 "$file.new"
  mv "$file.new" "$file"
  new=yes
done
for id in "$@"; do docker unpause "$id" >/dev/null; done
if [ -n "$new" ] && [ -n "$both" ]; then
  docker rm -f $both >/dev/null
  db=''
  echo secrets
fi
if [ -z "$volume" ]; then
  [ -z "$known" ] || [ -f "$folder/first-start" ] || echo gone
  : > "$folder/first-start"
elif [ -f "$folder/first-start" ]; then
  [ -z "$db" ] || docker rm -f "$db" >/dev/null
  code=0
  docker run --rm --network none --read-only --cap-drop ALL --cap-add DAC_OVERRIDE --user 0:0 \\
    --volume "$volume:/data:ro" --entrypoint test "$image" -f /data/orders-whole || code=$?
  case $code in
    0) ${firstStartIsOver}; echo whole ;;
    1) if [ -z "$disk" ]; then docker volume rm "$volume" >/dev/null
       else find "$(docker volume inspect -f '{{.Mountpoint}}' "$volume")" -mindepth 1 -delete; fi
       echo 'cut off' ;;
    *) exit 1 ;;
  esac
fi
`;

/** Everything of a node is gone: its containers with their data, its settings and its secrets. */
export async function removeAll({ sh, options }: Engine, { all, volumes, networks }: Survey): Promise<void> {
  const lists = [all.map(({ id }) => id), volumes, networks].map(names => names.join(' '));
  await sh(removing, [options.folder, join(options.infra, '.env'), ...lists, ...namesOfDerived(options)]);
}

const removing = `
set -eu
folder=$1 env=$2 boxes=$3 volumes=$4 networks=$5
shift 5
for id in $boxes; do docker rm -fv "$id" >/dev/null; done
for name in $volumes; do docker volume rm "$name" >/dev/null; done
for name in $networks; do docker network rm "$name" >/dev/null; done
docker image rm "$@" >/dev/null 2>&1 || true
if [ -f "$folder/env" ] && cmp -s "$folder/env" "$env"; then rm -f "$env"; fi
rm -rf "$folder"
rmdir "$(dirname "$folder")" 2>/dev/null || true
`;
