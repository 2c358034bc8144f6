// The pages that are made of evidence: what they say, and what a browser makes of them.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { root } from '../programs/program.ts';
import { html } from '../report/html.ts';
import { indexPage } from '../report/index-page.ts';
import { runPage } from '../report/run-page.ts';
import { chromium, openBrowser } from './chromium.ts';
import type { Browser } from './chromium.ts';
import { nasty, sampleResult, sampleWatched } from './sample-run.ts';

const drillPage = () => runPage({ result: sampleResult('drill'), watched: [sampleWatched()], root });
const verifyPage = () => runPage({ result: sampleResult(), watched: [], root });
const several = () => indexPage([
  sampleResult('drill'), sampleResult('verify', { exit: 0, fault: null }),
  ...[180, 900, null, 2_900, 240].map((ms, day) => sampleResult('drill', {
    started: `2026-11-2${day + 5}T18:18:10.123Z`, exit: ms === null ? 130 : 0, fault: null,
    drills: [
      { drill: 'db-hung', node: 'control', ladder: null, times: [{ what: 'ready again', ms, withinMs: 2_000 }] },
    ],
  })),
]);

test('whatever is in a run is escaped', async () => {
  assert.equal(html`<p title="${'"'}">${[nasty, 1, null, undefined, html`<i>`, '\u0000']}</p>`.html,
    '<p title="&quot;">&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;&lt;b&gt;&#39;1<i>\ufffd</p>');
  for (const page of [await drillPage(), await verifyPage(), several()]) {
    assert.ok(page.includes('&lt;script&gt;alert(&quot;1&quot;)'));
    assert.doesNotMatch(page, /<script|<b>/);
  }
});

test('a page refers to nothing outside itself; the index to the pages of its runs', async () => {
  const sign = /\b(?:href|src|action)\s*=\s*"([^"]*)"|url\(([^)]*)\)|@import/g;
  const references = (page: string) => [...page.matchAll(sign)].map(([all, one, other]) => one ?? other ?? all)
    .filter(one => !/^(#[\w-]+|data:,)$/.test(one));
  for (const page of [await drillPage(), await verifyPage()]) assert.deepEqual(references(page), []);
  assert.deepEqual([...new Set(references(several()))], [
    '2026-11-25T17-18-10-123Z-drill/report.html', '2026-11-25T17-18-10-123Z-verify/report.html',
  ]);
});

test('what is red stands first, with its error, and the runbook says what to do', async () => {
  const page = await verifyPage();
  assert.ok(page.indexOf('wanted 200, saw 503 timeout') < page.indexOf('id="ladder"'));
  const todo = page.slice(page.indexOf('id="todo"'), page.indexOf('id="ladder"'));
  assert.match(todo, /<h3><code>ready<\/code><\/h3>\n<dl><dt>\w+<\/dt><dd>/);
  // the reason that its error names, and no other
  assert.match(todo, /<h3><code>timeout<\/code><\/h3>\n<dl><dt>\w+<\/dt><dd>/);
  assert.doesNotMatch(todo, /<h3><code>(connection_refused|usable)/);
  const drill = await drillPage();
  const section = drill.slice(drill.indexOf('id="todo"'), drill.indexOf('id="ladder"'));
  assert.match(section, /<h3>db-down<\/h3>\n<ul><li><strong>Looks like:<\/strong> tcp held, <code>\/health<\/code>/);
});

test('the timeline says in words what its lanes show', async () => {
  const page = await drillPage();
  assert.match(page, /<desc [^>]*>inject at 2000 ms, .*health: neither from 3000 to 3205 ms\. ready: refused as/);
  assert.match(page, /<title>ready: refused as promised, 503 connection_refused; 2000 to 6405 ms<\/title>/);
  assert.match(page, /<th scope="row">db-down<\/th>(<td>.*?<\/td>){5}<td><span class="state bad">.*? no<\/span><\/td>/);
  assert.match(page, /ready again<\/th><td><span class="number">2305 ms<\/span><\/td>.*2000 ms.*<\/span> over</);
  assert.match(page, /write again<\/th><td><span class="number">never</);
});

const program = chromium();
const skip = program === undefined ? 'the Debian package chromium is not installed' : false;

test('in a browser', { skip, timeout: 120_000 }, async t => {
  const browser = await openBrowser(t, program ?? '');
  const pages = { drill: await drillPage(), verify: await verifyPage(), index: several() };
  for (const [name, text] of Object.entries(pages)) {
    const url = await served(t, name, text);
    await t.test(`${name}: nothing is asked for, nothing is complained of`, async () => {
      await browser.open(url);
      assert.deepEqual([browser.requests.splice(0), browser.console.splice(0)], [[url], []]);
    });
    await t.test(`${name}: fits every screen and print, and everything can be read in light and dark`, async () => {
      for (const width of [400, 900, 1_400]) {
        for (const theme of ['light', 'dark'] as const) await fits(browser, name, { width, theme });
      }
      await fits(browser, name, { width: 800, theme: 'dark', print: true });
    });
  }

  await t.test('the keyboard skips to the content; a screen reader finds landmarks, tables, pictures', async () => {
    await browser.shape({ width: 900, theme: 'light' });
    await browser.open(await served(t, 'keys', await drillPage()));
    const focused = () => browser.evaluate('document.activeElement.className + document.activeElement.id');
    await browser.press('Tab');
    assert.equal(await focused(), 'skip');
    await browser.press('Enter');
    assert.equal(await focused(), 'main');
    const tree = await browser.tree();
    for (const [role, name] of [
      ['navigation', 'Sections'], ['heading', 'drill broken on process'], ['status', ''], ['region', 'Timeline'],
      ['table', 'Every check, broken ones first'], ['columnheader', 'Measured'],
      ['rowheader', 'db-down on control: detected'],
      ['image', 'db-down: what clients saw, by probe'], ['main', ''], ['banner', ''],
    ]) assert.ok(tree.some(one => one.role === role && one.name.startsWith(name ?? '')), `${role} ${name}`);
    const named = ['image', 'img', 'link', 'table'];
    assert.deepEqual(tree.filter(({ role, name }) => named.includes(role) && name === ''), []);
  });
});

async function served(t: TestContext, name: string, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-page-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, `${name}.html`), text);
  return `file://${join(folder, `${name}.html`)}`;
}

/** With PICTURES=folder the pictures are kept. */
async function fits(browser: Browser, name: string, shape: Parameters<Browser['shape']>[0]): Promise<void> {
  await browser.shape(shape);
  const at = `${name} ${JSON.stringify(shape)}`;
  assert.equal(await browser.evaluate('document.documentElement.scrollWidth - innerWidth'), 0, at);
  assert.deepEqual(await browser.evaluate(`(${weakContrasts.toString()})()`), [], at);
  const { PICTURES } = process.env;
  if (PICTURES === undefined) return;
  const file = `${name}-${shape.width}-${shape.print === true ? 'print' : shape.theme}.png`;
  await writeFile(join(PICTURES, file), await browser.picture());
}

/** Runs in the page: every text whose contrast to what lies behind it is below 4.5 (WCAG AA). */
function weakContrasts(): string[] {
  type Element = { parentElement: Element | null; textContent: string; className: unknown; tagName: string };
  type Page = {
    document: { createTreeWalker: (root: unknown, what: number) => { nextNode: () => Element | null }; body: unknown };
    getComputedStyle: (element: Element) => { color: string; fill: string; backgroundColor: string };
  };
  const { document, getComputedStyle } = globalThis as unknown as Page;
  const parse = (color: string) => (/[\d.]+/g.exec(color) === null ? [] : [...color.matchAll(/[\d.]+/g)].map(Number));
  const luminance = (color: string) => {
    const [red = 0, green = 0, blue = 0] = parse(color).slice(0, 3).map(value => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element: Element | null): string => {
    if (element === null) return 'rgb(255, 255, 255)';
    const { backgroundColor } = getComputedStyle(element);
    return parse(backgroundColor)[3] === 0 ? behind(element.parentElement) : backgroundColor;
  };
  const weak: string[] = [];
  const walker = document.createTreeWalker(document.body, 4);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const { parentElement: element } = node;
    // the words of a picture are spoken, not drawn
    if (element === null || /^(title|desc)$/.test(element.tagName) || node.textContent.trim() === '') continue;
    const style = getComputedStyle(element);
    const ink = typeof element.className === 'string' ? style.color : style.fill;
    const [one = 0, other = 0] = [luminance(ink), luminance(behind(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) weak.push(`${node.textContent.trim().slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return weak;
}
