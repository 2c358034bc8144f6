// The rungs of the contract, bottom first, each with its checks: the one list that verify, verdict and reports go by.

/** The ids of every check that is planned for a target, by rung. */
export const checks = {
  listening: ['api-listening'],
  published: ['api-published', 'db-published', 'others-published', 'no-way-out', 'db-closed', 'db-reached'],
  reachable: ['tcp-held'],
  alive: ['health-200', 'head-like-get', 'any-client', 'keep-alive', 'own-answers'],
  versioned: ['one-instance', 'commit', 'openapi', 'metrics', 'same-instance'],
  ready: ['readiness', 'ready-in-metrics'],
  usable: [
    'order-in-query', 'order-in-json', 'idempotency-key', 'key-at-once', 'bad-input', 'bad-body', 'unknown-order',
    'unknown-path', 'allowed-methods', 'key-remembered',
  ],
  lasting: ['promises-kept'],
  contained: [
    'known-containers',
    'api-user', 'api-root', 'api-capabilities', 'api-privileges', 'api-image', 'api-base', 'api-settings',
    'db-user', 'db-root', 'db-capabilities', 'db-privileges', 'db-image', 'db-base', 'db-settings',
    'preflight-settings', 'networks', 'data-volume', 'superuser', 'durability', 'no-restart',
  ],
} as const;
export type RungName = keyof typeof checks;
export const rungs = Object.keys(checks).filter((name): name is RungName => name in checks);

/** What is planned for each machine, where nodes are machines: the rung below all those of the service. */
export const machineChecks = {
  online: ['machine-answers', 'own-name', 'own-address', 'own-boot', 'reaches-services'],
} as const;
/** Every rung that verify may name. */
export type LadderRung = RungName | keyof typeof machineChecks;
export const ladder: readonly LadderRung[] = ['online', ...rungs];

/** The same under EXPECT=unready, where a service has to refuse what it cannot do. */
export const unreadyChecks = {
  ...checks,
  usable: ['query-refused', 'json-refused', 'unknown-path', 'allowed-methods'],
  lasting: ['promises-not-denied'],
} as const;

/** What is planned for a target, by rung. */
export function plannedChecks(expect: 'ready' | 'unready'): Record<RungName, readonly string[]> {
  return expect === 'ready' ? checks : unreadyChecks;
}
