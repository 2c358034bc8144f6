// Checks in a row that are skipped for one reason are one line of TAP: fifteen times the same says no more than once.
import { lookUp } from './registry.ts';

/** An event of node:test, as far as it is looked at here. */
export type Event = {
  type: string;
  data: {
    name?: string; nesting: number; testNumber?: number; skip?: string | boolean; message?: string; count?: number;
    details?: { duration_ms?: number; error?: Error & { cause?: unknown } };
  };
};

/** What ends a row of skips, or has to be counted again after one. */
const results = ['test:start', 'test:pass', 'test:fail', 'test:plan', 'test:diagnostic'];

/** The same events with fewer tests in them, numbered and planned as they are then. */
export async function* fold(source: AsyncIterable<Event>): AsyncGenerator<Event> {
  // by nesting, how many lines there are fewer since its last plan
  const fewer: number[] = [];
  let begun: Event | undefined;
  let row: Event[] = [];
  const numbered = ({ type, data }: Event): Event => {
    const less = fewer[data.nesting] ?? 0;
    const { testNumber, count } = data;
    if (type === 'test:plan') fewer[data.nesting] = 0;
    return { type, data: {
      ...data,
      ...testNumber === undefined ? {} : { testNumber: testNumber - less },
      ...count === undefined ? {} : { count: count - less },
    } };
  };
  const endRow = (): Event[] => {
    const [first] = row;
    if (first === undefined) return [];
    const { nesting } = first.data;
    const one = numbered({ type: first.type, data: { ...first.data, ...wordsOf(row) } });
    fewer[nesting] = (fewer[nesting] ?? 0) + row.length - 1;
    row = [];
    return [{ type: 'test:start', data: { ...one.data } }, one];
  };
  for await (const event of source) {
    const { type, data } = event;
    if (!results.includes(type)) yield event;
    else if (isSkip(event) && begun?.data.nesting === data.nesting) {
      if (row[0] !== undefined && !isAlike(row[0], event)) yield* endRow();
      row.push(event);
      begun = undefined;
    } else if (type === 'test:start') {
      if (begun !== undefined) yield* [...endRow(), begun];
      // what it comes to is not known yet
      begun = event;
    } else {
      yield* endRow();
      if (begun !== undefined) yield begun;
      begun = undefined;
      yield numbered(event);
    }
  }
  yield* endRow();
}

function isSkip({ type, data: { skip } }: Event): boolean {
  return type === 'test:pass' && typeof skip === 'string';
}

function isAlike({ data: one }: Event, { data: other }: Event): boolean {
  return one.skip === other.skip && one.nesting === other.nesting && whose(one.name) === whose(other.name);
}

/** Whose check it is, as far as its line begins with it: a drill's, or a node's. */
function whose(name: string | undefined): string | undefined {
  const { id } = lookUp(name ?? '') ?? {};
  return id?.drill ?? id?.node;
}

/** `control listening, published: 4 checks`; a row of one stays what it is. */
function wordsOf(row: readonly Event[]): Pick<Event['data'], 'name' | 'details'> {
  const [first] = row;
  if (first === undefined || row.length === 1) return {};
  const rungs = new Set(row.map(({ data }) => lookUp(data.name ?? '')?.id.rung ?? 'others'));
  const ms = row.map(({ data }) => data.details?.duration_ms ?? 0).reduce((sum, one) => sum + one, 0);
  const name = `${whose(first.data.name) ?? ''} ${[...rungs].join(', ')}: ${row.length} checks`;
  return { name: name.trim(), details: { duration_ms: ms } };
}
