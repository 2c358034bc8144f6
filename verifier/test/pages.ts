// README.md and RUNBOOK.md as a reader uses them: their commands are pasted into one shell, their excerpts compared.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../programs/program.ts';

/** A fenced block: its language, what is written after it (the platform that it needs, or `long`), its lines. */
export type Block = { language: string; only: string; lines: string[] };
/** One pasted line, and what it printed on stdout and stderr until the next. */
export type Pasted = { line: string; printed: string };

export function readPage(name: string): string {
  return readFileSync(join(root, name), 'utf8');
}

/** Every fenced block of a page, in order. */
export function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```(\w+)(?: (\w+))?\n([^]*?)^```$/gm)].map(([, language = '', only = '', text = '']) =>
    ({ language, only, lines: text.trimEnd().split('\n') }));
}

/**
 * Pastes lines into one bash in the checkout, stops at the first that fails, and gives all that was printed, line by
 * line. Rejects with the failed line and its output.
 */
export async function paste(lines: readonly string[], env: Record<string, string>): Promise<Pasted[]> {
  const mark = '\u001e';
  const script = ['set -eo pipefail', 'exec 2>&1'];
  for (const line of lines) script.push(`printf '${mark}%s\\n' '${line.replaceAll("'", "'\\''")}'`, line);
  const shell = spawn('bash', ['-s'], { env, cwd: root, stdio: ['pipe', 'pipe', 'inherit'], timeout: 120_000 });
  let text = '';
  shell.stdout.setEncoding('utf8').on('data', (chunk: string) => { text += chunk; });
  shell.stdin.on('error', () => undefined).end(`${script.join('\n')}\n`);
  const code = await new Promise(resolve => shell.on('close', resolve));
  const pasted = text.split(mark).slice(1).map(part => {
    const end = part.indexOf('\n');
    return { line: part.slice(0, end), printed: part.slice(end + 1) };
  });
  const last = pasted.at(-1);
  if (code !== 0) throw new Error(`exit ${String(code)} of \`${last?.line}\`:\n${last?.printed.slice(-3_000)}`);
  return pasted;
}

/** The lines of an excerpt that are not printed, in this order; ids, times and numbers may be others. */
export function missingIn(printed: string, excerpt: readonly string[]): string[] {
  const lines = printed.split('\n').map(mask);
  let from = 0;
  return excerpt.filter(line => {
    if (line === '…') return false;
    const at = lines.indexOf(mask(line), from);
    if (at >= 0) from = at + 1;
    return at < 0;
  });
}

/** `1.5 s` and `12 s` are one; so are two rows of a strip chart in which the same was seen. */
function mask(line: string): string {
  return line.trimEnd().replace(/\r$/, '')
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<id>')
    .replace(/\b[0-9a-f]{40}\b/g, '<commit>')
    .replace(/^(X-Request-Id: ).*/, '$1<id>')
    .replace(/^(Date: ).*/, '$1<time>')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replace(/\d+(\.\d+)?/g, '<n>')
    .replace(/^(# \w+ +\|)([=ox ]+)\|/, (_, name: string, signs: string) => name + signsOf(signs))
    .replace(/^#? +\^/, '^')
    // on a first run nothing was promised before
    .replace(/lasting (yes|skipped)/, 'lasting <yes>');
}

function signsOf(row: string): string {
  return ['=', 'o'].filter(sign => row.includes(sign)).join('');
}
