// What a server may say before and after the login, in any cut into packets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openGuard } from '../database/guard.ts';

function message(kind: string, body: Buffer | string): Buffer {
  const head = Buffer.alloc(5, kind);
  head.writeUInt32BE(Buffer.byteLength(body) + 4, 1);
  return Buffer.concat([head, Buffer.from(body)]);
}

function login(type: number, text = ''): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(type);
  return message('R', Buffer.concat([number, Buffer.from(text, 'latin1')]));
}

/** Whether all of it may be said when it comes in two packets, cut anywhere, or byte by byte. */
function verdicts(bytes: Buffer): boolean[] {
  const cuts = Array.from({ length: bytes.length + 1 }, (_, at) => {
    const guard = openGuard();
    return [bytes.subarray(0, at), bytes.subarray(at)].every(part => guard(Buffer.from(part)));
  });
  const guard = openGuard();
  return [...new Set([...cuts, [...bytes].every(byte => guard(Buffer.from([byte])))])];
}

const scram = [login(10, 'SCRAM-SHA-256\0\0'), login(11, 'r=abc,s=QUJD,i=4096'), login(12, 'v=abc'), login(0)];
const notice = message('N', 'SNOTICE\0\0');
const session = [message('S', 'a\0b\0'), message('K', '12345678'), message('Z', 'I'), message('D', '\0\x01R')];

test('a login by SCRAM, by trust, after a notice or with a refusal may be said, and what follows it', () => {
  assert.deepEqual(verdicts(Buffer.concat([...scram, ...session])), [true]);
  assert.deepEqual(verdicts(Buffer.concat([notice, login(0), ...session])), [true]);
  assert.deepEqual(verdicts(message('E', 'SFATAL\0C28P01\0\0')), [true]);
});

for (const [what, bytes] of [
  ['a request for the password in the clear', login(3)], ['a request for it as MD5', login(5, 'salt')],
  ['a request for it after a notice', Buffer.concat([notice, login(3)])],
  ['a request for it after the login', Buffer.concat([login(0), ...session, login(3)])],
  ['a request for it in the middle of SCRAM', Buffer.concat([...scram.slice(0, 2), login(3)])],
  ['another mechanism', login(10, 'GSSAPI\0\0')], ['a step of SCRAM without a salt', login(11, 'r=abc,i=4096')],
  ['rounds that would take minutes', login(11, 'r=abc,s=QUJD,i=99999999')],
  ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request')],
  ['rows before the login', message('D', 'row')], ['a message without end', Buffer.from([0x45, 0x7f, 0, 0, 0, 0])],
] as [string, Buffer][]) {
  test(`${what} is refused, however it is cut`, () => {
    assert.deepEqual(verdicts(bytes), [false]);
  });
}
