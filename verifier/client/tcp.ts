// Whether a port takes a connection and keeps it. Opens sockets; says nothing over them.
import { connect } from 'node:net';
import type { Target } from '#infra/platform';

export type TcpState = 'held' | 'refused' | 'silent' | 'accepted_then_closed' | 'reset' | 'unreachable';
export type TcpSight = { state: TcpState; ms: number; code?: string };

/**
 * Connects, and holds the connection for a moment: a proxy in front of nothing accepts and closes 2 ms later,
 * so a connect alone proves nothing. Never throws; settles within deadlineMs + holdMs.
 */
export function probe(target: Pick<Target, 'host' | 'port'>, deadlineMs: number, holdMs = 150): Promise<TcpSight> {
  return new Promise(resolve => {
    const began = performance.now();
    let accepted = false;
    const socket = connect({ host: target.host, port: target.port });
    const tell = (state: TcpState, code?: string) => {
      clearTimeout(timer);
      socket.destroy();
      const ms = Math.round(performance.now() - began);
      resolve(code === undefined ? { state, ms } : { state, ms, code });
    };
    let timer = setTimeout(tell, deadlineMs, 'silent');
    socket.on('connect', () => {
      accepted = true;
      clearTimeout(timer);
      timer = setTimeout(tell, holdMs, 'held');
    });
    socket.on('error', (error: NodeJS.ErrnoException) => tell(stateOf(error.code, accepted), error.code));
    socket.on('end', () => tell('accepted_then_closed'));
    // Without a reader the end of the stream would never be seen.
    socket.resume();
  });
}

/** What a socket's errno says about the peer. */
export function stateOf(code: string | undefined, accepted: boolean): Exclude<TcpState, 'held'> {
  switch (code) {
    case 'ECONNREFUSED': return 'refused';
    case 'ETIMEDOUT': return 'silent';
    case 'ECONNRESET': case 'EPIPE': case 'ECONNABORTED': return 'reset';
    default: return accepted ? 'accepted_then_closed' : 'unreachable';
  }
}
