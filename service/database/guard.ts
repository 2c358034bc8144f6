// What a server may say, looked at before the client library acts on it: whole messages, however they are cut.
const longestLoginMessage = 30_000;
const longestMessage = 16_777_216;
// PostgreSQL's own default is 4096; the library computes them in one go, during which nothing else is served.
const mostScramRounds = 200_000;

/**
 * Takes the bytes of one server in the order in which they come. False for the first that belong to no server of ours:
 * another protocol, a request for the password in the clear or as MD5, a login that would make the library throw, or a
 * second login.
 */
export function openGuard(): (bytes: Buffer) => boolean {
  let rest: Buffer = Buffer.alloc(0);
  let isIn = false;
  return bytes => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    let at = 0;
    while (at < rest.length) {
      const kind = rest[at] ?? 0;
      if (isIn ? kind === AUTHENTICATION : !LOGIN_KINDS.includes(kind)) return false;
      if (rest.length - at < 5) break;
      const end = at + 1 + rest.readUInt32BE(at + 1);
      if (end - at < 5 || end - at > (isIn ? longestMessage : longestLoginMessage)) return false;
      if (end > rest.length) break;
      if (kind === AUTHENTICATION) {
        const step = rest.subarray(at + 5, end);
        if (!isLoginStep(step)) return false;
        isIn = step.readUInt32BE(0) === 0;
      }
      at = end;
    }
    // What is left is the beginning of a message. The library keeps the packet itself, so this is a copy.
    rest = Buffer.from(rest.subarray(at));
    return true;
  };
}

const AUTHENTICATION = 0x52;
// AuthenticationXXX, ErrorResponse, NoticeResponse, NegotiateProtocolVersion
const LOGIN_KINDS = [AUTHENTICATION, 0x45, 0x4e, 0x76];

// Ok, or a step of SCRAM-SHA-256 (RFC 5802) with all that the library reads from it.
function isLoginStep(step: Buffer): boolean {
  if (step.length < 4) return false;
  const type = step.readUInt32BE(0);
  const text = step.toString('latin1', 4);
  if (type === 10) return text.split('\0').includes('SCRAM-SHA-256');
  if (type !== 11) return type === 0 || type === 12;
  const [, rounds] = /^r=[^,]+,s=[A-Za-z0-9+/]+=*,i=([1-9][0-9]{0,6})$/.exec(text) ?? [];
  return Number(rounds ?? Infinity) <= mostScramRounds;
}
