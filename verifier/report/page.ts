// The frame of every page: one file without script or outside reference, in light and dark, on a phone, in print.
import { html } from './html.ts';
import type { Content, Html } from './html.ts';

/** How a thing stands: each has a sign and a word besides its colour. */
export type State = 'good' | 'bad' | 'weak' | 'none';
const signs: Record<State, string> = { good: '✓', bad: '✗', weak: '!', none: '–' };

/** `✓ held`: sign and word in the colour of the state. */
export function stateMark(state: State, word: string): Html {
  return html`<span class="state ${state}"><span aria-hidden="true">${signs[state]}</span> ${word}</span>`;
}

export type Section = { id: string; title: string; body: Content };
export type Page = { title: string; lead: Content; sections: readonly Section[] };

/** A whole document; `lead` comes above the sections, which a list at the top leads to. */
export function page({ title, lead, sections }: Page): string {
  const links = sections.map(({ id, title: name }) => html`<li><a href="#${id}">${name}</a></li>\n`);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
${lead}
</header>
<nav aria-label="Sections">
<ul>
${links}</ul>
</nav>
<main id="main" tabindex="-1">
${sections.map(({ id, title: name, body }) => html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${name}</h2>
${body}
</section>
`)}</main>
</body>
</html>
`.html;
}

/** A table that scrolls by itself where the screen is too narrow, with the keyboard as well. */
export function table(caption: string, head: readonly string[], rows: readonly (readonly Content[])[]): Html {
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0">
<table>
<caption>${caption}</caption>
<thead><tr>${head.map(name => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>
${rows.map(([first, ...others]) => html`<tr><th scope="row">${first}</th>${others.map(cell)}</tr>\n`)}</tbody>
</table>
</div>
`;
}

function cell(content: Content): Html {
  return html`<td>${content}</td>`;
}

// Every pair of text and background has a contrast of at least 4.5, every shape one of 3 (WCAG AA).
const style: Html = { html: `
:root { color-scheme: light dark; --page: #fff; --panel: #f4f6f8; --ink: #1b1f24; --soft: #525b66; --line: #8a929b;
  --link: #0550ae; --good: #116329; --bad: #a40e26; --weak: #7a4a00; --zone: #e6e9ed; }
@media (prefers-color-scheme: dark) { :root { --page: #0f1318; --panel: #1a2027; --ink: #e6edf3; --soft: #a9b3be;
  --line: #717a85; --link: #79b8ff; --good: #5bd66f; --bad: #ff8a80; --weak: #e8b84b; --zone: #2b333d; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 72rem; padding: 0 1rem 3rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
a { color: var(--link); } :focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
main:focus { outline: none; }
.skip { position: absolute; left: -999rem; } .skip:focus { position: static; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 1.5rem 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 .5rem; } h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p, ul, ol, dl, pre { margin: .5rem 0; }
.soft, caption { color: var(--soft); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: .5rem 0; margin: 0;
  border-block: 1px solid var(--line); }
.state { font-weight: 600; white-space: nowrap; } .none { color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); } .weak { color: var(--weak); }
.verdict { border-left: .4rem solid currentColor; background: var(--panel); padding: .75rem 1rem; font-size: 1.15rem; }
.verdict p { margin: 0; } .verdict .said { color: var(--ink); font-size: 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { background: var(--panel); padding: .6rem .8rem; white-space: pre-wrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.25rem; }
dt { color: var(--soft); } dd { margin: 0; }
.ladder { list-style: none; padding: 0; max-width: 40rem; }
.ladder li { display: grid; grid-template-columns: 12rem 1fr; gap: 0 1rem; padding: .3rem .75rem;
  border: 1px solid var(--line); border-left: .4rem solid; margin-bottom: -1px; background: var(--panel); }
.ladder .name { color: var(--ink); } .ladder .more { grid-column: 2; color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; } caption { text-align: left; padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line);
  font-weight: 400; overflow-wrap: break-word; }
thead th { color: var(--soft); white-space: nowrap; } .number { white-space: nowrap; }
td .error, li .error { color: var(--bad); } .said { color: var(--soft); font-size: .9rem; }
figure { margin: 1rem 0; } figcaption { font-weight: 600; }
svg { display: block; width: 100%; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .soft { fill: var(--soft); } svg .axis, svg .mark { stroke: var(--line); fill: none; }
svg .mark { stroke: var(--ink); stroke-dasharray: 3 2; } svg .zone { fill: var(--zone); }
svg rect.good { fill: var(--good); } svg rect.weak { fill: var(--weak); } svg rect.bad { fill: var(--bad); }
svg .track { fill: none; stroke: var(--line); } svg .dot { fill: var(--link); } svg .limit { stroke: var(--bad);
  stroke-dasharray: 6 3; }
.runbook { border-left: .25rem solid var(--line); padding-left: 1rem; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
  .ladder li { grid-template-columns: 8rem 1fr; gap: 0 .5rem; } }
@media print { :root { --page: #fff; --panel: #fff; --ink: #000; --soft: #444; --line: #777; --link: #000;
    --good: #0b5020; --bad: #8a0b20; --weak: #6b4100; --zone: #e6e9ed; }
  nav, .skip { display: none; } .scroll { overflow: visible; }
  table { font-size: .8rem; } th, td { padding-right: .4rem; }
  h2, h3, caption { break-after: avoid; }
  tr, li, figure, .verdict { break-inside: avoid; } * { print-color-adjust: exact; } }
` };
