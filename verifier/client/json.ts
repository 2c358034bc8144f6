// JSON read strictly: a name that stands twice in one object, at whatever depth, is trouble and not the last of them.

export type Parsed = { value: unknown } | { trouble: string };

export function parseJson(text: string): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { trouble: 'its body is no JSON' };
  }
  const twice = findTwice(text);
  return twice === undefined ? { value } : { trouble: `its body has ${twice} twice` };
}

/** Of a text that is JSON: the tokens are strings, braces, colons and the rest. */
function findTwice(text: string): string | undefined {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}:]/g) ?? [];
  const open: Set<unknown>[] = [];
  for (const [at, token] of tokens.entries()) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (token !== ':' && tokens[at + 1] === ':') {
      const name: unknown = JSON.parse(token);
      const names = open.at(-1);
      if (names?.has(name)) return token;
      names?.add(name);
    }
  }
  return undefined;
}
