// The socket under a lane: ours, so that it can be destroyed, and so that there is never a second one.
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export type Wire = {
  /** The library asks for a socket here. It would connect again with stale state inside: it gets one, and a throw after that. */
  open(): Socket;
  /** The code with which it came to its end. */
  over(): string | undefined;
  /** True once the peer has said anything at all. */
  heard(): boolean;
  kill(code: string): void;
  /** Says goodbye to the server. */
  end(): void;
};

/** The code of a wire that was ended by us. */
export const ENDED = 'CONNECTION_ENDED';

/** Opens nothing before open. onOver is called once, however it ends. */
export function openWire(peer: { host: string; port: number }, onOver: (code: string) => void): Wire {
  let socket: Socket | undefined;
  let over: string | undefined;
  let heard = false;
  const finish = (code: string, close: (open: Socket) => void) => {
    if (over) return;
    over = code;
    if (socket) close(socket);
    onOver(code);
  };
  const kill = (code: string) => finish(code, open => open.destroy());

  function listen(open: Socket) {
    // 'error' comes before 'close': a statement given to the library in between would be reported as done.
    open.on('error', (error: NodeJS.ErrnoException) => kill(error.code ?? 'CONNECTION_CLOSED'));
    open.on('end', () => kill('CONNECTION_CLOSED'));
    open.on('close', () => kill('CONNECTION_CLOSED'));
    open.once('data', (first: Buffer) => {
      heard = true;
      if (isGreeting(first)) return;
      kill('PROTOCOL_ERROR');
      // The library is handed this buffer too, and would act on it or print it: a message without end keeps it quiet.
      first.fill(0xff);
    });
  }
  return {
    open() {
      if (socket || over) throw Object.assign(new Error('lane is over'), { code: over ?? 'CONNECTION_CLOSED' });
      const { host, port } = peer;
      socket = Object.assign(connect({ host, port, noDelay: true }), { host, port });
      listen(socket);
      return socket;
    },
    over: () => over,
    heard: () => heard,
    kill,
    // The library would only half-close, which a frozen peer never answers.
    end: () => finish(ENDED, open => open.end(TERMINATE, () => open.destroy())),
  };
}

const TERMINATE = Buffer.from([0x58, 0, 0, 0, 4]);

// A server speaks first with an authentication request, an error or a notice. Plain and MD5 passwords are never given.
function isGreeting(first: Buffer): boolean {
  const kind = String.fromCharCode(first[0] ?? 0);
  if (first.length >= 5 && first.readUInt32BE(1) > 30_000) return false;
  if (kind !== 'R') return kind === 'E' || kind === 'N' || kind === 'v';
  return first.length < 9 || [0, 10].includes(first.readUInt32BE(5));
}
