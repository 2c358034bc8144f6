// Callers that place orders without pause, on connections they keep: one heeds readiness, the other is blind to it.
import { Agent, request } from 'node:http';
import { get } from './http-cases.ts';
import { talk } from './raw.ts';

export type Tally = { ok: number; refused: number; resetNew: number; resetReused: number; wrong: string[] };
export type Callers = { tally: Tally; stop(): Promise<void> };
type Outcome = 'ok' | 'refused' | 'resetNew' | 'resetReused' | { wrong: string };

const path = '/order?symbol=BTC&side=buy&qty=1';

/** heed: before each order the last look at /ready must have said 200; a look is made every 50 ms. */
export function openCallers(port: number, count: number, { heed }: { heed: boolean }): Callers {
  const agent = new Agent({ keepAlive: true, maxSockets: count });
  const tally: Tally = { ok: 0, refused: 0, resetNew: 0, resetReused: 0, wrong: [] };
  const state = { stopped: false, ready: false };
  const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));
  async function look(): Promise<void> {
    while (!state.stopped) {
      state.ready = (await talk({ port, bytes: get('/ready', 'Connection: close') })).answers[0]?.status === 200;
      await pause(50);
    }
  }
  async function work(): Promise<void> {
    while (!state.stopped) {
      if (heed && !state.ready) await pause(10);
      else await place();
    }
  }
  async function place(): Promise<void> {
    const outcome = await placeOne(port, agent);
    if (typeof outcome === 'string') tally[outcome] += 1;
    else tally.wrong.push(outcome.wrong);
    if (outcome === 'refused') await pause(10);
  }
  const all = [look(), ...Array.from({ length: count }, work)];
  return {
    tally,
    stop: async () => {
      state.stopped = true;
      await Promise.all(all);
      agent.destroy();
    },
  };
}

const reset: unknown[] = ['ECONNRESET', 'EPIPE'];

function placeOne(port: number, agent: Agent): Promise<Outcome> {
  return new Promise(resolve => {
    const req = request({ host: '127.0.0.1', port, agent, method: 'POST', path, timeout: 10_000 }, res => {
      res.resume();
      res.once('end', () => resolve(res.statusCode === 201 ? 'ok' : { wrong: `status ${res.statusCode}` }));
      res.once('error', error => resolve({ wrong: error.message }));
    });
    req.once('timeout', () => req.destroy(new Error('no answer')));
    req.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') resolve('refused');
      else if (reset.includes(error.code)) resolve(req.reusedSocket ? 'resetReused' : 'resetNew');
      else resolve({ wrong: error.message });
    });
    req.end();
  });
}
