// What a node's service runs from: a copy of each build in the node's folder, so that a former build can come back.
import { createHash, randomBytes } from 'node:crypto';
import {
  cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { basename, join, sep } from 'node:path';
import { messageOf } from '../platform.ts';

/** A build with its settings. `tag` differs when one of the two does. */
export type Run = { release: string; env: Record<string, string>; tag: string };
/** `before`: the release that served before this one. */
type Served = Run & { before?: string | undefined };
export type Releases = {
  /** Copies the compiled service of this checkout, unless it is there; the name is that of its content. */
  take: () => string;
  mainOf: (release: string) => string;
  /** The last run that was ready; undefined before the first, and after a halt. */
  served: () => Run | undefined;
  /** It is ready. Its release and that of the run before it are kept, others removed. */
  serves: (run: Run) => void;
  forget: () => void;
};

/** Looks at nothing yet. */
export function openReleases(folder: string, root: string): Releases {
  const all = join(folder, 'releases');
  const file = join(folder, 'served.json');
  const served = (): Served | undefined => {
    if (!existsSync(file)) return undefined;
    const run = Object(parse(readFileSync(file, 'utf8'))) as Partial<Served>;
    const isRun = typeof run.release === 'string' && typeof run.tag === 'string' && typeof run.env === 'object';
    // what a full disk or a power cut spoilt costs the way back, never an `up`
    return isRun && existsSync(join(all, basename(run.release ?? ''))) ? run as Served : undefined;
  };
  const take = (): string => {
    const name = fingerprint(partsOf(root));
    const release = join(all, name);
    // it may have been cut short by a power cut after all
    if (fingerprint(partsIn(release)) === name) return name;
    const beside = `${release}.${randomBytes(4).toString('hex')}`;
    try {
      for (const [path, from] of partsOf(root)) cpSync(from, join(beside, path));
      rmSync(release, { recursive: true, force: true });
      renameSync(beside, release);
    } catch (error) {
      rmSync(beside, { recursive: true, force: true });
      throw new Error(`the build cannot be copied to ${release}: ${messageOf(error)}`);
    }
    return name;
  };
  return {
    take, served,
    mainOf: release => join(all, release, 'service/main.js'),
    serves: run => {
      const was = served();
      const before = was?.release === run.release ? was.before : was?.release;
      const kept = [run.release, before];
      const text = JSON.stringify({ ...run, before } satisfies Served);
      writeFileSync(`${file}.new`, text, { mode: 0o600, flush: true } as object);
      renameSync(`${file}.new`, file);
      mkdirSync(all, { recursive: true });
      for (const name of readdirSync(all)) {
        if (!kept.includes(name)) rmSync(join(all, name), { recursive: true, force: true });
      }
    },
    forget: () => rmSync(file, { force: true }),
  };
}

/** The files of a release by their paths in it, each with the file that it is copied from. */
type Parts = [path: string, from: string][];

/** As in the image: the compiled service without tests, and the one package that it needs. */
function partsOf(root: string): Parts {
  return [
    ['package.json', join(root, 'package.json')],
    ...filesIn(join(root, 'service/dist'), 'service').filter(([path]) => !/^service\/(test|bench)\//.test(path)),
    ...filesIn(join(root, 'node_modules/postgres/src'), 'node_modules/postgres/src'),
    ['node_modules/postgres/package.json', join(root, 'node_modules/postgres/package.json')],
  ];
}

function partsIn(release: string): Parts {
  return filesIn(release, '');
}

function filesIn(folder: string, as: string): Parts {
  if (!existsSync(folder)) return [];
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const files = paths.filter(path => /\.(js|json)$/.test(path) && statSync(join(folder, path)).isFile());
  return files.map(path => [join(as, path).split(sep).join('/'), join(folder, path)]);
}

function fingerprint(parts: Parts): string {
  const hash = createHash('sha256');
  for (const [path, from] of parts.toSorted(([one], [other]) => one < other ? -1 : 1)) {
    hash.update(`${path}\n`).update(readFileSync(from));
  }
  return hash.digest('hex').slice(0, 16);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
