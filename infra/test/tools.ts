// Programs that tests need and the system does not: without one its tests are skips that name the package.
import { spawnSync } from 'node:child_process';

/** The reason to skip, or false. In CI every skip is red: see verifier/test/quiet-reporter.ts. */
export function lacking(program: string, packages: string, probe: readonly string[] = ['--version']): string | false {
  const { error, status } = spawnSync(program, probe, { stdio: 'ignore' });
  if (error === undefined && status === 0) return false;
  return `${program} is not installed (Debian: apt-get install ${packages})`;
}
