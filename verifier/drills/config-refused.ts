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
  takes: 'about 30 s',
  rungs: scene => [soundBefore(scene), ...required.map(variable => refused(scene, variable)), soundAfter(scene, 'same')],
};

function refused(scene: Scene, variable: string): Rung {
  return rung(variable, Object.fromEntries(spoilt.map(how => [`${how} it is refused with exit 78, by name`, (say: (line: string) => void) => refusal(scene, { variable, how }, say)])));
}

type Spoilt = { variable: string; how: string };

/** The quickest of three counts: how long a process takes to start is the machine's affair, how long it thinks is the service's. */
async function refusal(scene: Scene, spoiling: Spoilt, say: (line: string) => void): Promise<void> {
  const lateMs = scene.options.scaled(scene.before.facts.containers ? 5_000 : 1_000);
  let quickestMs = Infinity;
  for (let tries = 0; tries < 3 && quickestMs > lateMs; tries += 1) {
    const { ms, complaints } = await refuseOnce(scene, spoiling);
    quickestMs = Math.min(quickestMs, ms);
    say(`${ms} ms, ${complaints.join('; ')}`);
  }
  if (quickestMs > lateMs) throw new Broken(`${spoiling.variable} ${spoiling.how}: wanted the refusal within ${lateMs} ms, saw it after ${quickestMs} ms`);
}

async function refuseOnce(scene: Scene, { variable, how }: Spoilt): Promise<{ ms: number; complaints: string[] }> {
  const { stdout } = await scene.inject('config-refused', variable, how);
  const { exit, ms, stderr } = fields(parse(stdout));
  if (exit !== EX_CONFIG) throw new Broken(`${variable} ${how}: wanted exit ${EX_CONFIG}, saw ${exit}: ${stderr}`);
  const complaints = String(stderr).split('\n').filter(line => line.startsWith('config: '));
  if (!complaints.some(line => line.split(/[^A-Z_]+/).includes(variable))) throw new Broken(`${variable} ${how}: wanted a complaint that names it, saw ${stderr}`);
  return { ms: typeof ms === 'number' ? ms : Infinity, complaints };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Broken(`wanted JSON about the refused start, saw ${text.slice(0, 200)}`);
  }
}
