// What a node's service runs from: a copy of each build in the node's folder, so that a former build can come back.
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync, cpSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync,
  statSync, writeFileSync,
} from 'node:fs';
import { basename, join, sep } from 'node:path';
import { messageOf } from '../platform.ts';

/** A build with its settings. `tag` differs when one of the two does. `origin`: what a fault has made it from. */
export type Run = { release: string; env: Record<string, string>; tag: string; origin?: Run };
export type Changed = { env: Record<string, string>; tag: string };
/** `before`: the release that served before this one. */
type Served = Run & { before?: string | undefined };
export type Releases = {
  /** Copies the compiled service of this checkout, unless it is there; the name is that of its content. */
  take: () => string;
  mainOf: (release: string) => string;
  /** The last run that was ready and whose release is whole; undefined before the first, and after a halt. */
  served: () => Run | undefined;
  /** The last run that was begun, as above; whether it got ready nobody may have seen. */
  pending: () => Run | undefined;
  begins: (run: Run) => void;
  /** It is ready. Its release and that of the run before it are kept, others removed. */
  serves: (run: Run) => void;
  forget: () => void;
};

/** What was served before a fault changed it. */
export function originOf(run: Run | undefined): Run | undefined {
  return run?.origin ?? run;
}

/** The same build with other settings, under a tag of their own. */
export function changed(origin: Run, { env, tag }: Changed): Run {
  return { release: origin.release, env: { ...origin.env, ...env }, tag, origin };
}

/** Looks at nothing yet. */
export function openReleases(folder: string, root: string): Releases {
  const all = join(folder, 'releases');
  const [file, begun] = [join(folder, 'served.json'), join(folder, 'pending.json')];
  const read = (path: string): Served | undefined => {
    const run: unknown = existsSync(path) ? parse(readFileSync(path, 'utf8')) : undefined;
    // what a full disk or a power cut spoilt costs the way back, never an `up`
    return isRun(run) && fingerprint(partsIn(join(all, basename(run.release)))) === run.release ? run : undefined;
  };
  const write = (path: string, run: Served): void => {
    writeFileSync(`${path}.new`, JSON.stringify(run), { mode: 0o600, flush: true } as object);
    renameSync(`${path}.new`, path);
  };
  const served = () => read(file);
  const take = (): string => {
    const name = fingerprint(partsOf(root));
    const release = join(all, name);
    // it may have been cut short by a power cut after all
    if (fingerprint(partsIn(release)) === name) return name;
    const beside = `${release}.${randomBytes(4).toString('hex')}`;
    try {
      for (const [path, from] of partsOf(root)) {
        cpSync(from, join(beside, path));
        sync(join(beside, path));
      }
      rmSync(release, { recursive: true, force: true });
      renameSync(beside, release);
    } catch (error) {
      rmSync(beside, { recursive: true, force: true });
      throw new Error(`the build cannot be copied to ${release}: ${messageOf(error)}`);
    }
    return name;
  };
  return {
    take, served, pending: () => read(begun), begins: run => { if (read(begun)?.tag !== run.tag) write(begun, run); },
    mainOf: release => join(all, release, 'service/main.js'),
    serves: run => {
      const was = served();
      const before = was?.release === run.release ? was.before : was?.release;
      const kept = [run.release, before];
      write(file, { ...run, before });
      mkdirSync(all, { recursive: true });
      for (const name of readdirSync(all)) {
        if (!kept.includes(name)) rmSync(join(all, name), { recursive: true, force: true });
      }
    },
    forget: () => [file, begun].forEach(path => rmSync(path, { force: true })),
  };
}

function isRun(run: unknown): run is Served {
  const { release, tag, env, origin } = Object(run) as Partial<Run>;
  const isWhole = typeof release === 'string' && typeof tag === 'string' && typeof env === 'object';
  return isWhole && (origin === undefined || isRun(origin));
}

/** To the disk, before anything relies on it. */
function sync(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
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
