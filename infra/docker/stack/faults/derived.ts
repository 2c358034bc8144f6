// Images derived from the one that serves: another build by what it says of itself, or one that can never be ready.
import { badBuild, newBuild, oldBuild } from '../../../platform.ts';
import { Trouble, linesOf, present } from '../../engine.ts';
import type { Engine } from '../../engine.ts';
import type { Container } from '../../inspect.ts';

export type Derived = 'old-build' | 'upgrade' | 'bad-upgrade';
const { DATABASE_NAME: nowhere, ...badSigns } = badBuild;
const signs = { 'old-build': oldBuild, upgrade: newBuild, 'bad-upgrade': badSigns };
/** Compose gives it the right database; it looks for another. */
const program = JSON.stringify(['-e', `process.env.DATABASE_NAME = '${nowhere}'; import('/app/service/main.js')`]);
const madeOf = 'orders.made-of';

const names = Object.keys(signs) as Derived[];
const tagOf = ({ options }: Pick<Engine, 'options'>, name: Derived) => `${options.project}-${name}`;
/** Every image that a stack may have had derived. */
export const namesOfDerived = (options: Engine['options']) => names.map(name => tagOf({ options }, name));

/** Gives its name. */
export async function derive(engine: Engine, name: Derived, from: string): Promise<string> {
  const env = Object.entries(signs[name]).map(pair => pair.join('=')).join(' ');
  const command = name === 'bad-upgrade' ? `CMD ${program}\n` : '';
  const recipe = `FROM ${from}\nENV ${env}\nLABEL ${madeOf}=${from}\n${command}`;
  const deadlineMs = engine.options.settings.scaled(120_000);
  await engine.sh(building, [tagOf(engine, name)], { input: recipe, deadlineMs });
  return tagOf(engine, name);
}

// of a recipe that it is given through a pipe, buildx leaves a copy in its folder for temporary files
const building = `
folder=$(mktemp -d) || exit
trap 'rm -rf "$folder"' EXIT
TMPDIR=$folder docker build -q -t "$1" - >/dev/null
`;

export function isDerived(engine: Engine, { image }: Container, ...which: Derived[]): boolean {
  return (which.length > 0 ? which : names).some(name => image === tagOf(engine, name));
}

/** What was built here and not derived: the image of the service, or the one that it was derived from. */
export async function originOf(engine: Engine): Promise<string> {
  const api = present(engine, await engine.look(), 'api');
  const format = `{{index .Config.Labels "${madeOf}"}}`;
  const [origin] = linesOf(await engine.docker('image', 'inspect', '--format', format, api.image));
  if (!isDerived(engine, api)) return api.image;
  if (origin === undefined) throw new Trouble(`${api.image} does not say what it was made of: make up`);
  return origin;
}

/** The engine keeps one that a container is made of. */
export async function forgetDerived(engine: Engine): Promise<void> {
  await engine.sh('docker image rm "$@" >/dev/null 2>&1 || true', namesOfDerived(engine.options));
}
