// A second opinion: what an ordinary client, which forgives much, makes of the service. The only file that fetches.
import type { Target } from '#infra/platform';
import { addressOf } from './address.ts';

/** `forbidden`: fetch never asks at this port, whoever listens there. */
export type Opinion = { status: number; text: string } | { forbidden: true } | { trouble: string };

/** Never throws; settles within deadlineMs. */
export async function askOrdinarily(
  target: Pick<Target, 'host' | 'port'>, path: string, deadlineMs: number,
): Promise<Opinion> {
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  // On Node 20 a fetch may not settle even when aborted, and AbortSignal.timeout() does not keep the process alive.
  const late = new Promise<Opinion>(resolve => {
    timer = setTimeout(() => { resolve({ trouble: `silent for ${deadlineMs} ms` }); stop.abort(); }, deadlineMs);
  });
  const talk = async (): Promise<Opinion> => {
    const { signal } = stop;
    const response = await fetch(`http://${addressOf(target)}${path}`, { signal, redirect: 'manual' });
    return { status: response.status, text: await response.text() };
  };
  try {
    return await Promise.race([talk().catch(troubleOf), late]);
  } finally {
    clearTimeout(timer);
  }
}

function troubleOf(error: unknown): Opinion {
  // What fetch throws is a TypeError; the reason is its cause.
  const { cause } = error as { cause?: { code?: string; message?: string } };
  if (cause?.message === 'bad port') return { forbidden: true };
  return { trouble: cause?.code ?? cause?.message ?? String(error) };
}
