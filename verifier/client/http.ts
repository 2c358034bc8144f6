// One HTTP exchange on a socket of its own. The only file that fetches.
import { addressOf } from './address.ts';
import type { Target } from '#infra/platform';
import { stateOf } from './tcp.ts';

export type Ask = {
  method?: string; path: string; headers?: Record<string, string>; body?: string; deadlineMs: number;
};
type Host = Pick<Target, 'host' | 'port'>;
export type Answered = { state: 'answered'; status: number; headers: Headers; text: string; json: unknown; ms: number };
export type Unanswered = {
  state: 'refused' | 'silent' | 'accepted_then_closed' | 'reset' | 'unreachable' | 'malformed';
  ms: number;
  code?: string;
};
export type HttpSight = Answered | Unanswered;

const LARGEST_BODY = 1_048_576;

/** Asks once: no redirect is followed, no connection used twice. Never throws; settles within deadlineMs. */
export async function ask(target: Host, ask: Ask): Promise<HttpSight> {
  const began = performance.now();
  const ms = () => Math.round(performance.now() - began);
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  // On Node 20 a fetch may not settle even when aborted, and AbortSignal.timeout() does not keep the process alive.
  const late = new Promise<HttpSight>(resolve => {
    timer = setTimeout(() => { resolve({ state: 'silent', ms: ms() }); stop.abort(); }, ask.deadlineMs);
  });
  const talk = exchange(target, ask, stop.signal).then(
    (answer): HttpSight => ({ ...answer, ms: ms() }),
    (error: unknown): HttpSight => ({ ...troubleOf(error), ms: ms() }),
  );
  try {
    return await Promise.race([talk, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** `200`, `302 to /elsewhere`, `silent (ECONNRESET)`: a sight in a few words. */
export function tell(sight: HttpSight): string {
  if (sight.state !== 'answered') return sight.code ? `${sight.state} (${sight.code})` : sight.state;
  const elsewhere = sight.status >= 300 && sight.status < 400 ? sight.headers.get('location') : null;
  return elsewhere ? `${sight.status} to ${elsewhere}` : `${sight.status}`;
}

class HalfAnswer extends Error {}

async function exchange(target: Host, ask: Ask, signal: AbortSignal): Promise<Omit<Answered, 'ms'>> {
  const { method = 'GET', path, headers = {}, body } = ask;
  const response = await fetch(`http://${addressOf(target)}${path}`, {
    method, signal, redirect: 'manual', headers: { ...headers, connection: 'close' },
    ...body === undefined ? {} : { body },
  });
  const text = await bodyOf(response);
  return { state: 'answered', status: response.status, headers: response.headers, text, json: parsed(text) };
}

async function bodyOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > LARGEST_BODY) throw new HalfAnswer(`body above ${LARGEST_BODY} bytes`);
    }
  } catch (error) {
    throw error instanceof HalfAnswer ? error : new HalfAnswer('half a body', { cause: error });
  }
  return text + decoder.decode();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Cause = { name?: string; code?: string; message?: string; errors?: { code?: string }[] };

function troubleOf(error: unknown): Omit<Unanswered, 'ms'> {
  if (error instanceof HalfAnswer) return { state: 'malformed', code: error.message };
  // What fetch throws is a TypeError; the reason is its cause, sometimes a bundle of one error per address.
  const { cause } = error as { cause?: Cause };
  const code = cause?.code ?? cause?.errors?.[0]?.code;
  if (code === 'UND_ERR_SOCKET') return { state: 'accepted_then_closed' };
  if (code?.startsWith('UND_ERR_CONNECT_TIMEOUT')) return { state: 'silent', code };
  // Its code is missing on Node 24.
  if (cause?.name === 'HTTPParserError') return { state: 'malformed', code: 'no HTTP' };
  if (code?.startsWith('UND_ERR')) return { state: 'malformed', code };
  return { state: stateOf(code, false), code: code ?? cause?.message ?? String(error) };
}
