// What the specification and README guarantee, sentence by sentence, each with the checks and drills that prove it.

/**
 * A check of `make verify`, a whole drill, a criterion of `make acceptance` (their ids), or, where nothing that runs
 * can show it, a test of this repository by its title.
 */
export type Proof =
  | { check: string } | { drill: string } | { criterion: string } | { test: string; title: string };
/** `from` is the heading that it stands under. */
export type Guarantee = { from: string; says: string; proofs: readonly [Proof, ...Proof[]] };

const check = (id: string): Proof => ({ check: id });
const drill = (name: string): Proof => ({ drill: name });
const criterion = (id: string): Proof => ({ criterion: id });

const held = check('reachable/tcp-held');
const alive = check('alive/health-200');
const ready = check('ready/readiness');
const order = check('usable/order-in-query');
const dbDown = drill('db-down');
const portClosed = drill('port-closed');
const frozen = drill('service-frozen');
const locked = drill('table-locked');
const refused = drill('config-refused');
const listening = check('listening/api-listening');
const restart = drill('restart-keeps-orders');
const lifecycle = criterion('lifecycle');
const hosts = criterion('hosts');
const packages: Proof = {
  test: 'verifier/test/house.test.ts',
  title: 'the packages are the fixed ones, by integrity, and none runs a script when it is installed',
};
const runbook: Proof = {
  test: 'infra/test/runbook.test.ts',
  title: 'the drills of the runbook are the drills of the program, each with all that an operator needs',
};

/** Sentences are those of the specification, without its markup; the table of README by its first column. */
export const guarantees: readonly Guarantee[] = [
  ...under('Executive Summary', [
    ['started intentionally', criterion('start')],
    ['verified truthfully', criterion('verify'), portClosed, frozen, drill('old-build'), dbDown, locked],
    ['failed safely', dbDown, drill('db-hung'), drill('mid-flight')],
    ['recovered without manual intervention', drill('process-killed'), drill('mid-flight')],
    ['a portable, observable service that fails predictably instead of silently', hosts, dbDown],
  ]),
  ...under('What Changed', [
    ['A real API process replaces lab-only verification', check('versioned/one-instance')],
    ['Docker becomes the enforced runtime', listening, check('published/api-published')],
    ['Configuration, health, readiness, and failure behavior are defined and verified', refused, dbDown],
    ['A real external dependency (Postgres) is introduced', dbDown],
    ['The system lifecycle becomes controllable from the host, not via manual SSH', lifecycle],
    ['Service reachability is verified at the TCP transport layer, not assumed', held, portClosed],
  ]),
  ...under('Purpose', [
    ['startable, verifiable, and stoppable from the host machine, without manual SSH intervention', lifecycle],
    ['must report its state truthfully under both healthy and degraded conditions', alive, ready, criterion('truth')],
  ]),
  ...under('What Was Built', [
    ['A containerized service with strict startup contracts', listening, refused],
    ['Docker-based runtime with non-root execution', check('contained/api-user'), check('contained/db-user')],
    ['Docker Compose orchestration with Postgres', check('contained/known-containers'), check('contained/db-settings')],
    ['Truthful /health, /ready, and /version endpoints', alive, ready, check('versioned/one-instance'), dbDown],
    ['Verified persistence across restarts', check('lasting/promises-kept'), restart],
    ['Host-driven lifecycle control (make up, make verify, make halt/destroy)', lifecycle],
    ['Host-driven verification defining system truth', criterion('verify')],
    ['Runnable, documented failure drills', dbDown, runbook],
    [
      'Explicit TCP networking validation for service and dependency reachability',
      held, check('published/db-reached'), check('published/db-closed'), check('published/db-published'),
    ],
  ]),
  ...under('Service Behavior Guarantees', [
    ['The service refuses to start when required configuration is missing', refused],
    ['/health reports process liveness only', alive, dbDown, drill('db-hung')],
    ['/ready reports dependency readiness', ready, dbDown, drill('bad-credentials')],
    ['Dependency failure does not cause crash loops', dbDown, drill('bad-credentials')],
    ['The service remains observable during degraded states', dbDown, drill('db-hung')],
  ]),
  ...under('One-Glance Guarantees', [
    ['Process crash: /health fails', drill('process-killed')],
    ['DB unavailable: /health passes, /ready fails', dbDown],
    ['Dependency restored: /ready recovers without restart', dbDown, drill('db-hung'), drill('bad-credentials')],
    ['Restart service: data persists', restart],
    ['TCP port unreachable: verification fails', portClosed],
    ['Verification fails: system must not be considered usable', portClosed, lifecycle],
  ]),
  ...under('Containerization Guarantees', [
    ['Pinned base image (no floating tags)', check('contained/api-base'), check('contained/db-image')],
    ['Deterministic dependency installation', packages],
    ['Non-root execution', check('contained/api-user'), check('contained/db-user')],
    ['Network-reachable binding (0.0.0.0)', listening],
    ['Configuration injected at runtime (not baked into images)', refused],
  ]),
  ...under('Network & Portability Proof', [
    ['The same container image runs on multiple VMs', hosts],
    ['The service is reachable across the private VM network', hosts, held],
    ['TCP connectivity is explicitly validated before HTTP checks', held, portClosed],
    ['No reliance on localhost or build-time paths', listening, hosts],
    ['Verification can target different service hosts without code changes', hosts],
  ]),
  ...under('TCP Networking Contract', [
    ['The service must be listening on 0.0.0.0:<port> inside the container', listening],
    ['Docker must publish the port on the VM', check('published/api-published')],
    ['The host must be able to establish a TCP connection to the VM port', held, criterion('tcp')],
    ['Failure at the TCP layer invalidates all higher-level checks', portClosed],
  ]),
  ...under('Dependency & Persistence Proof', [
    ['API and database run as separate containers', check('contained/known-containers'), check('contained/networks')],
    ['Loss of the database causes readiness failure only', dbDown],
    ['Database-dependent endpoints fail predictably', dbDown, drill('db-hung'), drill('mid-flight')],
    ['Data persists across container restarts', restart, check('lasting/promises-kept'), check('contained/durability')],
  ]),
  ...under('Verification as Contract', [
    ['Verification is executed from the host, not from inside VMs', criterion('verify'), hosts],
    ['Verification scripts define what "working" means', criterion('verify'), lifecycle],
    ['Verification is authoritative and non-interactive', criterion('verify')],
    ['A green verification run is the only accepted definition of correctness', criterion('verify'), lifecycle],
    ['Verification explicitly distinguishes alive vs ready', alive, ready, dbDown],
    ['Verification explicitly distinguishes reachable vs usable', held, order, locked],
    ['Verification explicitly distinguishes TCP reachable vs application healthy', held, alive, frozen],
  ]),
  ...under('Lifecycle Control Contract', [
    ['make up brings all VMs online', criterion('start'), hosts, check('online/machine-answers')],
    ['make up starts the Docker Compose service stack on the target node', criterion('start')],
    ['make verify verifies TCP reachability before HTTP semantics', held, portClosed],
    ['make verify confirms truthful health and readiness behavior', alive, ready, criterion('truth')],
    ['make verify fails loudly when guarantees are violated', portClosed, frozen, locked, drill('orders-lost')],
    ['make halt / make destroy stops services before halting or destroying VMs', lifecycle, restart],
    ['make halt / make destroy prevents hidden running state or data corruption', lifecycle, restart],
    ['The system does not require manual SSH for normal operation', lifecycle],
  ]),
  ...under('Control Boundary', [
    ['All lifecycle and verification commands are executed from the host', lifecycle],
    ['VMs are treated as managed infrastructure; manual SSH is reserved for debugging and drills', lifecycle, hosts],
  ]),
  ...under('Failure Drills', [
    ['Incorrect database credentials', drill('bad-credentials')],
    ['Database unavailability', dbDown],
    ['Mid-flight dependency loss', drill('mid-flight')],
    ['Service TCP port unreachable', portClosed],
    ['Each drill documents reproduction, expected behavior, and recovery', runbook],
  ]),
  ...under('Acceptance Criteria', [
    ['The system starts from a clean state via the golden path', criterion('start')],
    ['Verification passes without manual fixes', criterion('verify')],
    ['TCP connectivity is proven from host to service', criterion('tcp')],
    ['Health and readiness behave truthfully under failure', criterion('truth')],
    ['Persistence is proven via restart', criterion('persistence')],
    ['The service runs correctly on more than one host', hosts],
    ['At least one failure drill is executed and recovered', dbDown],
    ['The full lifecycle (up → verify → down) is executable from the host', lifecycle],
  ]),
  ...under('Operational Runbook', [
    ['nc -zv: TCP connection succeeds', held, criterion('tcp')],
    ['If this fails, HTTP-level checks are invalid', portClosed],
    ['DB up: /health 200, /ready 200', alive, ready],
    ['Create data: HTTP 200 or 201, JSON containing order_id', order],
    ['Verify data: order data returned, values match original request', order],
    ['Restart: order still exists, no data loss', restart, check('lasting/promises-kept')],
    ['Database down: TCP reachable, /health 200, /ready 503; and recovered', dbDown],
  ]),
  ...under('README', [
    ['process crash', drill('process-killed')],
    ['database unavailable', dbDown],
    ['database frozen', drill('db-hung')],
    ['credentials wrong', drill('bad-credentials')],
    ['dependency restored', dbDown, drill('db-hung'), drill('bad-credentials')],
    ['database killed while orders are written', drill('mid-flight')],
    ['power lost while orders are written', drill('power-cut')],
    ['restart of everything', restart],
    ['tables lost, a backup at hand', drill('backup-restores')],
    ['service told to stop under load', drill('drain')],
    ['a new build replaces the old one under load', drill('upgrade')],
    ['a build that never gets ready', drill('upgrade')],
    ['one replica of a fleet lost', drill('replica-killed')],
    ['a new build on a fleet, and a bad one', drill('rolling-upgrade')],
    ['the leader of the database lost or silent', drill('leader-killed'), drill('leader-frozen')],
    ['a machine lost or cut off', drill('leader-node-lost'), drill('node-lost'), drill('split'), drill('standby-lost')],
    ['TCP port unreachable', portClosed],
    ['configuration missing or malformed', refused],
    ['verification red', portClosed, lifecycle],
  ]),
];

type Row = readonly [says: string, first: Proof, ...others: Proof[]];

function under(from: string, rows: readonly Row[]): Guarantee[] {
  return rows.map(([says, ...proofs]) => ({ from, says, proofs }));
}
