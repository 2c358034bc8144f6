// config-refused: a service with a setting missing or malformed refuses to start, names it, and is not started again and again.
import { Broken } from '../ladder.ts';
import type { Rung } from '../ladder.ts';
import type { Drill, Scene } from '../scene.ts';
import { rung, soundAfter, soundBefore } from '../steps.ts';
import { fields } from '../writers.ts';

const required = ['PORT', 'HOST', 'DATABASE_HOST', 'DATABASE_PORT', 'DATABASE_NAME', 'DATABASE_USER', 'DATABASE_PASSWORD_FILE'];
const spoilt = ['missing', 'malformed'] as const;
const EX_CONFIG = 78;

export const configRefused: Drill = {
  name: 'config-refused',
  title: 'a second service is started with each required setting missing, then malformed',
  reproduce: 'infra/control inject config-refused PORT missing (or malformed; or another of the required variables)',
  expect: 'it exits 78 within a second and names the variable on stderr; the running service notices nothing',
  recover: 'nothing to do: the second service was a throw-away',
  takes: 'about 10 s',
  rungs: scene => [soundBefore(scene), ...required.map(variable => refused(scene, variable)), soundAfter(scene, 'same')],
};

function refused(scene: Scene, variable: string): Rung {
  return rung(variable, Object.fromEntries(spoilt.map(how => [`${how} it is refused with exit 78, by name`, (say: (line: string) => void) => refusal(scene, { variable, how }, say)])));
}

async function refusal(scene: Scene, { variable, how }: { variable: string; how: string }, say: (line: string) => void): Promise<void> {
  const { stdout } = await scene.inject('config-refused', variable, how);
  const { exit, ms, stderr } = fields(parse(stdout));
  if (exit !== EX_CONFIG) throw new Broken(`${variable} ${how}: wanted exit ${EX_CONFIG}, saw ${exit}: ${stderr}`);
  const complaints = String(stderr).split('\n').filter(line => line.startsWith('config: '));
  if (!complaints.some(line => line.split(/[^A-Z_]+/).includes(variable))) throw new Broken(`${variable} ${how}: wanted a complaint that names it, saw ${stderr}`);
  // a container has to be made first; the promise is about the service
  const { containers } = await scene.facts();
  const lateMs = scene.options.scaled(containers ? 5_000 : 1_000);
  if (typeof ms !== 'number' || ms > lateMs) throw new Broken(`${variable} ${how}: wanted the refusal within ${lateMs} ms, saw it after ${ms} ms`);
  say(`${ms} ms, ${complaints.join('; ')}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Broken(`wanted JSON about the refused start, saw ${text.slice(0, 200)}`);
  }
}
