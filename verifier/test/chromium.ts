// Chromium without a window, driven by its DevTools protocol over pipes: what a page asks for, says and looks like.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';

export type Shape = { width: number; theme: 'light' | 'dark'; print?: boolean };
export type Browser = {
  /** Opens a page and waits until it is loaded. */
  open: (url: string) => Promise<void>;
  shape: (shape: Shape) => Promise<void>;
  /** What an expression comes to in the page, as JSON. */
  evaluate: (expression: string) => Promise<unknown>;
  /** A PNG of the whole page. */
  picture: () => Promise<Buffer>;
  /** The accessibility tree: role and name of every node that has both. */
  tree: () => Promise<{ role: string; name: string }[]>;
  press: (key: 'Tab' | 'Enter') => Promise<void>;
  /** Requests that were made, and everything that the console heard, since the browser was opened. */
  readonly requests: string[];
  readonly console: string[];
};
type Fields = Record<string, unknown>;
type Told = { id?: number; method?: string; params?: Fields; result?: Fields; error?: unknown };

/** The program's path; undefined where the Debian package `chromium` is missing. */
export function chromium(): string | undefined {
  const paths = (process.env['PATH'] ?? '').split(delimiter).map(folder => join(folder, 'chromium'));
  return paths.find(path => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Ends with the test. */
export async function openBrowser(t: TestContext, program: string): Promise<Browser> {
  const home = await mkdtemp(join(tmpdir(), 'orders-chromium-'));
  const child = spawn(program, [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--remote-debugging-pipe',
    '--no-first-run', '--disable-background-networking', '--hide-scrollbars', `--user-data-dir=${home}`,
  ], { env: { PATH: process.env['PATH'], HOME: home }, stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const closed = new Promise(resolve => child.on('close', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await closed;
    // what it has started itself may still write there for a moment
    await rm(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });
  const heard: { requests: string[]; console: string[] } = { requests: [], console: [] };
  const { ask, on } = converse(child.stdio[3] as Writable, child.stdio[4] as Readable);
  on('Network.requestWillBeSent', ({ request }) => heard.requests.push((request as { url: string }).url));
  on('Log.entryAdded', ({ entry }) => heard.console.push((entry as { text: string }).text));
  for (const event of ['Runtime.consoleAPICalled', 'Runtime.exceptionThrown']) {
    on(event, params => heard.console.push(JSON.stringify(params)));
  }
  const { targetId } = await ask('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await ask('Target.attachToTarget', { targetId, flatten: true });
  const inPage = (method: string, params: object = {}) => ask(method, params, String(sessionId));
  for (const domain of ['Page', 'Network', 'Log', 'Runtime', 'Accessibility']) await inPage(`${domain}.enable`);
  return {
    ...heard,
    open: async url => {
      const loaded = new Promise<void>(resolve => on('Page.loadEventFired', () => resolve()));
      await inPage('Page.navigate', { url });
      await loaded;
    },
    shape: async ({ width, theme, print = false }) => {
      await inPage('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: false });
      const features = [{ name: 'prefers-color-scheme', value: theme }];
      await inPage('Emulation.setEmulatedMedia', { media: print ? 'print' : '', features });
    },
    evaluate: async expression => {
      const { result, exceptionDetails } = await inPage('Runtime.evaluate', { expression, returnByValue: true });
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
      return (result as { value?: unknown }).value;
    },
    picture: async () => {
      const { data } = await inPage('Page.captureScreenshot', { captureBeyondViewport: true });
      return Buffer.from(String(data), 'base64');
    },
    tree: async () => {
      const { nodes } = await inPage('Accessibility.getFullAXTree');
      type Node = { role?: { value: string }; name?: { value: string } };
      const told = ({ role, name }: Node) => role && name ? [{ role: role.value, name: name.value }] : [];
      return (nodes as Node[]).flatMap(told);
    },
    press: async key => {
      const code = key === 'Tab' ? 9 : 13;
      const event = { key, code: key, windowsVirtualKeyCode: code, ...key === 'Enter' ? { text: '\r' } : {} };
      await inPage('Input.dispatchKeyEvent', { type: 'keyDown', ...event });
      await inPage('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
    },
  };
}

/** Messages are JSON with a NUL behind each. */
function converse(to: Writable, from: Readable) {
  const waiting = new Map<number, { resolve: (result: Fields) => void; reject: (why: Error) => void }>();
  const hearers: { event: string; hear: (params: Fields) => void }[] = [];
  let text = '';
  let count = 0;
  from.setEncoding('utf8').on('data', (part: string) => {
    const messages = (text + part).split('\0');
    text = messages.pop() ?? '';
    for (const { id, method, params = {}, result = {}, error } of messages.map(one => JSON.parse(one) as Told)) {
      const asked = waiting.get(id ?? 0);
      if (error !== undefined) asked?.reject(new Error(JSON.stringify(error)));
      else asked?.resolve(result);
      hearers.filter(({ event }) => event === method).forEach(({ hear }) => hear(params));
    }
  });
  const gone = () => waiting.forEach(({ reject }) => reject(new Error('Chromium has ended')));
  from.on('close', gone);
  // a browser that ended takes no more; whoever waits has been told
  to.on('error', () => undefined);
  const ask = (method: string, params: object, sessionId?: string): Promise<Fields> => {
    const id = count += 1;
    to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  };
  const on = (event: string, hear: (params: Fields) => void) => void hearers.push({ event, hear });
  return { ask, on };
}
