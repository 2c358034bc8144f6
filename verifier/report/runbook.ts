// What RUNBOOK.md says about what is red, found by its headings and shown as HTML.
import { html } from './html.ts';
import type { Content, Html } from './html.ts';

/** What is red: rungs of the ladder, drills, and words in their errors that may be reasons of a readiness. */
export type Red = { rungs: readonly string[]; drills: readonly string[]; words: readonly string[] };

/** The rows about its rungs and reasons, and the paragraphs about its drills; what has none is left out. */
export function runbookFor(runbook: string, red: Red): Html[] {
  const drills = red.drills.flatMap(name => {
    const text = sectionOf(runbook, heading => heading === name);
    return text === undefined ? [] : [html`<h3>${name}</h3>\n${markdown(text)}`];
  });
  const section = sectionOf(runbook, heading => /when `make verify` is red/i.test(heading)) ?? '';
  const [ladder = '', reasons = ''] = section.split(/\n{2,}/).filter(block => block.startsWith('|'));
  const known = red.rungs.includes('ready') ? red.words : [];
  return [...rowsOf(ladder, red.rungs), ...rowsOf(reasons, known), ...drills];
}

function sectionOf(runbook: string, is: (heading: string) => boolean): string | undefined {
  const lines = runbook.split('\n');
  const begin = lines.findIndex(line => /^#{2,3} /.test(line) && is(line.replace(/^#+ /, '').trim()));
  if (begin < 0) return undefined;
  const length = lines.slice(begin + 1).findIndex(line => /^#{1,3} /.test(line));
  return lines.slice(begin + 1, length < 0 ? undefined : begin + 1 + length).join('\n').trim();
}

/** The rows of a table whose first cell has one of these as code, as lists under what it says. */
function rowsOf(text: string, names: readonly string[]): Html[] {
  const rows = text.split('\n').map(
    line => line.slice(1).split('|').slice(0, -1).map(cell => cell.trim()),
  );
  const [head = [], , ...others] = rows;
  const own = others.filter(([first = '']) => names.some(name => first.split(/[,\s]+/).includes(`\`${name}\``)));
  return own.map(([first = '', ...cells]) => (
    html`<h3>${inline(first)}</h3>
<dl>${cells.map((cell, i) => html`<dt>${inline(head[i + 1] ?? '')}</dt><dd>${inline(cell)}</dd>\n`)}</dl>
`));
}

/** Paragraphs, lists and blocks of code: all that the runbook's paragraphs are made of. */
function markdown(text: string): Content {
  return text.split(/^```\w*\n([\s\S]*?)^```$/m).map((part, i) => i % 2 === 1 ? html`<pre>${part}</pre>\n`
    : part.split(/\n{2,}/).map(one => one.trim()).filter(Boolean).map(paragraph => {
      if (!paragraph.startsWith('- ')) return html`<p>${inline(paragraph)}</p>\n`;
      const items = paragraph.split(/^- /m).filter(Boolean);
      return html`<ul>${items.map(item => html`<li>${inline(item.trim())}</li>\n`)}</ul>\n`;
    }));
}

/** `code`, **strong** and [links], of which the words stay. */
function inline(text: string): Content {
  const plain = text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
  return plain.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map(part => {
    if (part.startsWith('`') && part.length > 1) return html`<code>${part.slice(1, -1)}</code>`;
    return part.startsWith('**') && part.length > 4 ? html`<strong>${part.slice(2, -2)}</strong>` : part;
  });
}
