// Each way to weaken a real stack is tried, several at a time: verify is red, and every one of them is named.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort, root } from './stack.ts';
import { missing, openContainers, succeeded } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';

/** `act` weakens the stack: a Compose file over ours, or what it does itself. `undo` is for what `up` leaves alone. */
type Trial = {
  name: string;
  act: (stack: Containers) => Promise<string | void> | string;
  undo?: (stack: Containers) => Promise<unknown>;
  /** Each way with the claim that is red and what it has seen. */
  ways: [way: string, claim: string, saw: RegExp][];
};
const apiSettings = 'contained: the api is set up as expected';
const dbSettings = 'contained: the database is set up as expected';
const strangerOf = (stack: Containers) => `${stack.project}-stranger`;
const otherOf = (stack: Containers, tag: string) => `${stack.project}-other:${tag}`;
const sql = (stack: Containers, text: string) => stack.docker(
  'exec', stack.db, 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-U', 'postgres', '-d', 'orders', '-c', text,
);

const trials: Trial[] = [
  // what needs no new containers comes first, while the stack is as `up` made it
  {
    name: 'a database that was opened while it ran',
    act: async stack => {
      await sql(stack, "alter role postgres password 'hunter2'");
      await sql(stack, 'alter role orders superuser');
      await sql(stack, 'alter system set full_page_writes = off');
      await sql(stack, 'select pg_reload_conf()');
    },
    undo: async stack => {
      await sql(stack, 'alter system reset full_page_writes');
      await sql(stack, 'select pg_reload_conf()');
      await sql(stack, 'alter role orders nosuperuser');
      await sql(stack, 'alter role postgres password null');
    },
    ways: [
      ['the superuser let in', 'contained: the superuser cannot log in', /superusers \["orders","postgres"\]/],
      ['the superuser let in', 'contained: the superuser cannot log in', /with a password \["orders","postgres"\]/],
      ['full_page_writes off', 'contained: the database keeps', /"full_page_writes":"off"/],
    ],
  },
  {
    name: 'a second container with root, socket and a port',
    act: async stack => { await addStranger(stack, '--publish', `127.0.0.1:${await freePort()}:9000`); },
    undo: stack => stack.docker('rm', '-f', strangerOf(stack)),
    ways: [['a second container with a port', 'published: nothing else of the project', /-stranger: HostConfig\.Port/]],
  },
  {
    name: 'a second container with root and socket, stopped',
    act: async stack => {
      await addStranger(stack);
      await stack.docker('kill', strangerOf(stack));
    },
    undo: stack => stack.docker('rm', '-f', strangerOf(stack)),
    ways: [['a second container', 'contained: the project has an api, its preflight, a database',
      /-stranger \(exited\), .*Config\.User "0:0".*docker\.sock/]],
  },
  {
    name: 'a stranger of no project on the inner network',
    act: async stack => {
      await stack.docker('run', '--detach', '--name', strangerOf(stack), '--network', `${stack.project}_private`,
        ...await idle(stack));
    },
    undo: stack => stack.docker('rm', '-f', strangerOf(stack)),
    ways: [['a stranger on a network', 'contained: both networks are as expected', /private Members is .*-stranger/]],
  },
  {
    name: 'more of the host than it should see, and secrets in the environment',
    act: () => `services:
      api: { pid: host, volumes: ["/var/run/docker.sock:/var/run/docker.sock"], environment: { API_TOKEN: hunter2 },
        security_opt: !override ["no-new-privileges:true", "seccomp:unconfined"] }
      db: { ipc: host, volumes: ["/:/host:ro"], environment: { DB_SECRET: hunter2 },
        logging: !override { driver: json-file } }`,
    ways: [
      ['pid: host', apiSettings, /HostConfig\.PidMode is "host", not nothing/],
      ['the Docker socket', apiSettings, /Mounts\.\/var\/run\/docker\.sock\.Source is .*, not nothing/],
      ['a secret in the environment of the api', apiSettings, /Config\.Env\.API_TOKEN is set, not nothing/],
      ['seccomp unconfined', apiSettings, /HostConfig\.SecurityOpt is .*seccomp/],
      ['seccomp unconfined', 'contained: the api can gain no new privileges', /seccomp 0/],
      ['ipc: host', dbSettings, /HostConfig\.IpcMode is "host", not "private"/],
      ['the host\'s root', dbSettings, /Mounts\.\/host\.Source is "\/", not nothing/],
      ['a secret in the environment of the database', dbSettings, /Config\.Env\.DB_SECRET is set, not nothing/],
      ['a log without bound', dbSettings, /HostConfig\.LogConfig\.Config\.max-size is nothing, not "10m"/],
    ],
  },
  {
    name: 'no limits, other groups, another restart policy, a tmpfs with programs',
    act: () => `services:
      api: { user: "65532:0", restart: "no", mem_limit: !reset null, memswap_limit: !reset null, cpus: !reset null,
        pids_limit: !reset null }
      db: { group_add: ["0"], ulimits: !reset null, restart: always, tmpfs: !override [
        "/var/run/postgresql:noexec,nosuid,nodev,size=1m,uid=999,gid=999,mode=0775", "/tmp:exec,size=64m"] }`,
    ways: [
      ['group 0', apiSettings, /Config\.User is "65532:0", not "65532:65532"/],
      ['no limit of memory', apiSettings, /HostConfig\.Memory is nothing, not 268435456/],
      ['no limit of processes', apiSettings, /HostConfig\.PidsLimit is nothing, not 64/],
      ['no limit of time', apiSettings, /HostConfig\.NanoCpus is nothing/],
      ['restart: no', apiSettings, /HostConfig\.RestartPolicy\.Name is "no"/],
      ['one more group', dbSettings, /HostConfig\.GroupAdd is \["0"\], not nothing/],
      ['no limit of files', dbSettings, /HostConfig\.Ulimits is nothing/],
      ['restart: always', dbSettings, /HostConfig\.RestartPolicy\.Name is "always"/],
      ['an exec tmpfs', dbSettings, /HostConfig\.Tmpfs\.\/tmp is "exec,size=64m"/],
    ],
  },
  {
    name: 'an api as root, and a database without fsync',
    act: () => `services:
      api: { user: "0:0", read_only: false, cap_add: [NET_BIND_SERVICE],
        security_opt: !override ["no-new-privileges:false"] }
      db: { command: [postgres, -c, fsync=off] }`,
    ways: [
      ['root', 'contained: the api runs as an ordinary user', /uid 0/],
      ['a writable root', 'contained: the api has a read-only root', /saw false/],
      ['an added capability', 'contained: the api has no capability', /NET_BIND_SERVICE/],
      ['new privileges', 'contained: the api can gain no new privileges', /no_new_privileges false/],
      ['root', apiSettings, /Config\.User is "0:0"/],
      ['fsync off', 'contained: the database keeps what it has committed', /"fsync":"off"/],
      ['another command', dbSettings, /Config\.Cmd is \["postgres","-c","fsync=off"\]/],
    ],
  },
  {
    name: 'the database on the outer network, and published',
    act: async () => `services:
      db: { networks: [private, front], ports: ["127.0.0.1:${await freePort()}:5432"] }`,
    ways: [['a published database port', 'published: the database is published nowhere', /127\.0\.0\.1:\d+/]],
  },
  {
    name: 'the database on the outer network',
    act: () => 'services: { db: { networks: [private, front] } }',
    ways: [
      ['the database on the outer network', dbSettings, /Networks\.\S+_front\.NetworkID is .*, not nothing/],
      ['the database on the outer network', 'contained: both networks are as expected', /front Members is .*-db-1/],
    ],
  },
  {
    name: 'a way out for the api',
    act: () => 'services: { api: { networks: [front, private, outside] } }\nnetworks: { outside: {} }',
    ways: [['a way out', 'published: the api has no way out of its networks', /_outside, which is another's/]],
  },
  {
    name: 'an old api image and another database image',
    act: async stack => {
      await relabel(stack, stack.api, 'api');
      await relabel(stack, stack.db, 'db');
      return `services:
        preflight: { image: "${otherOf(stack, 'api')}" }
        api: { image: "${otherOf(stack, 'api')}" }
        db: { image: "${otherOf(stack, 'db')}", pull_policy: never }`;
    },
    ways: [
      ['an old api image', 'contained: the api runs the image of this checkout', /-other:api with the content sha256/],
      ['an old preflight image', 'contained: the preflight is set up as expected', /Config\.Image is .*-other:api/],
      ['another database image', 'contained: the database runs the image of this', /-other:db with the content/],
      ['a floating tag', 'contained: the database is built on a base pinned by digest', /-other:db", digest ""/],
    ],
  },
];

test('verify is red for every way to weaken a stack, and names it', { skip: missing }, async t => {
  const stack = await openContainers(t);
  t.after(() => stack.docker('image', 'rm', '-f', otherOf(stack, 'api'), otherOf(stack, 'db')).catch(() => undefined));
  succeeded(await stack.platform('up'), 'up');
  await t.test('nothing is weakened', async () => assert.deepEqual(await stack.broken(), []));
  for (const { name, act, undo, ways } of trials) {
    await t.test(name, async u => {
      const override = await act(stack);
      if (typeof override === 'string') succeeded(await stack.upWith(override), 'up');
      try {
        holdWays(u, ways, await stack.broken());
      } finally {
        await undo?.(stack);
      }
    });
  }
  await t.test('nothing is weakened: it was the ways that it saw', async () => {
    succeeded(await stack.upWith('services: {}'), 'up');
    assert.deepEqual(await stack.broken(), []);
  });
  const deaf = 'the service listens on 127.0.0.1 inside, though a plain connect succeeds';
  await t.test(deaf, u => listensOnLoopback(u, stack));
});

test('verify is red for data that are not safe from the first start on', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.upWith(`services:
    db: { environment: { POSTGRES_INITDB_ARGS: --auth-host=trust },
      volumes: !override ["./role.sh:/docker-entrypoint-initdb.d/role.sh:ro"],
      tmpfs: ["/var/lib/postgresql/data:uid=999,gid=999,mode=0700"] }`), 'up');
  holdWays(t, [
    ['data on a tmpfs', dbSettings, /HostConfig\.Tmpfs\.\/var\/lib\/postgresql\/data is .*, not nothing/],
    ['a volume without checksums', 'contained: the database keeps', /"data_checksums":"off"/],
    ['everybody trusted over the network', 'contained: the superuser cannot log in', /open \[.*trust"/],
    ['no volume', 'contained: the data is in a volume', /Driver is nothing/],
  ], await stack.broken());
});

test('verify is red for a tag that was moved, and for a base by a floating tag', { skip: missing }, async t => {
  const base = await runtimeBase(t);
  const floating = `orders-test-runtime-${process.pid}:latest`;
  const stack = await openContainers(t, { ORDERS_IMAGE: '', ORDERS_RUNTIME_IMAGE: floating });
  await stack.docker('tag', base, floating);
  t.after(() => stack.docker('image', 'rm', floating));
  succeeded(await stack.platform('up'), 'up');
  const onFloating: Trial['ways'][number] =
    ['a floating base', 'contained: the api is built on a base pinned by digest', /orders-test-runtime-\d+:latest/];
  holdWays(t, [onFloating], await stack.broken());

  const name = (await stack.docker('inspect', '--format', '{{.Config.Image}}', stack.api)).trim();
  const content = (await stack.docker('inspect', '--format', '{{.Image}}', stack.api)).trim();
  await relabel(stack, stack.api, 'api');
  t.after(() => stack.docker('image', 'rm', '-f', otherOf(stack, 'api')));
  await stack.docker('tag', otherOf(stack, 'api'), name);
  succeeded(await stack.upWith('services: { api: { labels: { moved: "yes" } } }'), 'up');
  const moved = await stack.broken();
  await stack.docker('tag', content, name);
  holdWays(t, [
    onFloating,
    ['a moved tag', 'contained: the api runs the image of this checkout', /with the content sha256:/],
    ['a strange label', apiSettings, /Config\.Labels\.moved is "yes", not nothing/],
  ], moved);
});

/** Each way is named at its claim, and nothing is red that no way is named at. */
function holdWays(t: TestContext, ways: Trial['ways'], broken: string[]): void {
  for (const [way, claim, saw] of ways) {
    assert.ok(broken.some(red => red.includes(claim) && saw.test(red)), `${way}: not in\n${broken.join('\n')}`);
    t.diagnostic(`${way} -> ${claim}: ${saw.source}`);
  }
  const others = broken.filter(red => !ways.some(([, claim]) => red.includes(claim)));
  assert.deepEqual(others, []);
}

/** The same image but for a label, under a name that anybody may move. */
async function relabel(stack: Containers, container: string, tag: string): Promise<void> {
  const image = (await stack.docker('inspect', '--format', '{{.Image}}', container)).trim();
  const made = (await stack.docker('create', '--label', 'other=yes', image)).trim();
  await stack.docker('commit', '--change', 'LABEL other=yes', made, otherOf(stack, tag));
  await stack.docker('rm', made);
}

async function idle(stack: Containers): Promise<string[]> {
  const image = (await stack.docker('inspect', '--format', '{{.Image}}', stack.api)).trim();
  return ['--no-healthcheck', image, '-e', 'setInterval(() => {}, 1000)'];
}

async function addStranger(stack: Containers, ...more: string[]): Promise<void> {
  await stack.docker('run', '--detach', '--name', strangerOf(stack), '--user', '0:0',
    '--label', `com.docker.compose.project=${stack.project}`, '--label', 'com.docker.compose.service=stranger',
    '--volume', '/var/run/docker.sock:/var/run/docker.sock', ...more, ...await idle(stack));
}

/** The pinned base that this machine builds on: the Dockerfile's, or its stand-in. */
async function runtimeBase(t: TestContext): Promise<string> {
  const { state, env } = await openContainers(t);
  const standIns = await readFile(join(state, 'images.env'), 'utf8').catch(() => '');
  const pinned = /^ARG RUNTIME_IMAGE=(\S+)$/m.exec(await readFile(join(root, 'Dockerfile'), 'utf8'));
  return env['ORDERS_RUNTIME_IMAGE'] ?? (/^ORDERS_RUNTIME_IMAGE=(.*)$/m.exec(standIns) ?? pinned)?.[1] ?? '';
}

// `up` would wait for readiness here; Compose alone starts it, and the node is still marked as up.
async function listensOnLoopback(t: TestContext, stack: Containers): Promise<void> {
  const override = 'services: { api: { environment: { HOST: 127.0.0.1 } } }';
  succeeded(await stack.compose(override, 'up', '--detach', '--no-build'), 'compose up');
  for (let look = 0; look < 150; look += 1) {
    const facts = JSON.parse(succeeded(await stack.platform('facts'), 'facts'));
    if (facts.api.listening.includes('127.0.0.1:8000')) break;
    await pause(200);
  }
  holdWays(t, [['listening on 127.0.0.1', 'listening: the api listens on 0.0.0.0:8000', /saw \["127\.0\.0\.1:8000"\]/]],
    await stack.broken());
}
