// What to do about a red rung, a sentence each: verify says it above its verdict, and RUNBOOK.md in its first table.
import type { LadderRung } from './rungs.ts';

export const nextSteps: Readonly<Record<LadderRung, string>> = {
  online: '`make status`; `make up` boots every machine',
  listening: '`make up`; if it runs already, `infra/control facts`, then correct `HOST` or `PORT`',
  published: '`infra/control facts`; `make up`',
  reachable: '`make status`; `make up`; then `make recover`',
  alive: '`make logs`; `infra/control inject process-killed` lets the supervisor start it again',
  versioned: '`make up` starts the build of this checkout',
  ready: 'find the reason of `/ready` in the second table of RUNBOOK.md',
  usable: '`make logs`; repair the database',
  lasting: 'stop writing, keep `.state`, find out who removed data; a backup brings orders back '
    + '(Backup and restore); after a deliberate loss remove the file in `.state/ledger/`',
  contained: '`infra/control facts`; correct the named setting, `make up`',
};
