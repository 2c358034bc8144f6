// Concurrent jobs share a statement: whoever waits when a connection is free goes together, also one alone.
import { ConnectionError } from './connection.ts';
import type { Connection, Run } from './connection.ts';
import type { Dialer } from './dialer.ts';
import { parseCode } from './errors.ts';

/** What is done with jobs. Everything in it may be repeated: a job that ran twice must count once. */
export type Work<In, Out> = {
  /** Equal keys never meet in one statement; jobs are sorted by it, so that two processes cannot deadlock. */
  key(input: In): string;
  /** One statement for all, and the answer of each in their order; undefined where none came back. */
  run(run: Run, inputs: In[]): Promise<(Out | undefined)[]>;
  /** What a missing table needs. */
  repair(run: Run): Promise<void>;
  /** From now on this session waits for a lock for at most so long. */
  setLockTimeout(run: Run, ms: number): Promise<unknown>;
};

/** Times in ms. queryTimeoutMs counts from a job's first statement, with all repetitions and connecting. */
export type BatchOptions = {
  connections: number; queueSize: number; waitTimeoutMs: number; queryTimeoutMs: number;
  connectTimeoutMs: number; lockTimeoutMs: number;
};

export type BatchStats = {
  open: number; busy: number; waiting: number; waitMsTotal: number; shed: number;
  batches: number; batched: number; retries: number;
};

/** untilMs: end of the wait, and once started, of everything. losses: dead connections. code: of its last try. */
type Job<In, Out> = {
  input: In; key: string; left: () => boolean; sinceMs: number; untilMs: number; started: boolean; running: boolean;
  maybeApplied: boolean; losses: number; code: string;
  resolve: (answer: Out) => void; reject: (error: ConnectionError) => void;
};
type Slot = { connection: Connection | null; busy: boolean; bornMs: number; usedMs: number };

const MOST_IN_ONE = 128;
const MORE_TRIES = 2;
const PAUSE_MS = 100;
const IDLE_MS = 30_000;
const LIFE_MS = 30 * 60_000;
const SWEEP_MS = 20;
// Repeated alone, a row waits no longer than this for a lock, so that one that is held does not hold up its neighbours.
const ALONE_LOCK_MS = 100;

/** Opens nothing before the first job. */
export class Batcher<In, Out> {
  readonly #work: Work<In, Out>;
  readonly #dialer: Dialer;
  readonly #options: BatchOptions;
  readonly #slots: Slot[];
  readonly #live = new Set<Job<In, Out>>();
  #queue: Job<In, Out>[] = [];
  #sweeping = false;
  #closing = false;
  #emptied = (): void => {};
  #counts = { waiting: 0, waitMsTotal: 0, shed: 0, batches: 0, batched: 0, retries: 0 };

  constructor(work: Work<In, Out>, dialer: Dialer, options: BatchOptions) {
    this.#work = work;
    this.#dialer = dialer;
    this.#options = options;
    const empty = (): Slot => ({ connection: null, busy: false, bornMs: 0, usedMs: 0 });
    this.#slots = Array.from({ length: options.connections }, empty);
  }

  /**
   * Throws ConnectionError only, within waitTimeoutMs + queryTimeoutMs; its maybeApplied covers all tries. A job whose
   * caller has left while it waited is not done.
   */
  submit(input: In, left: () => boolean): Promise<Out> {
    if (this.#closing) return Promise.reject(new ConnectionError('CLOSING', false));
    if (this.#counts.waiting >= this.#options.queueSize && this.#slots.every(slot => slot.busy)) {
      this.#counts.shed += 1;
      return Promise.reject(new ConnectionError('QUEUE_FULL', false));
    }
    return new Promise((resolve, reject) => {
      const sinceMs = performance.now();
      const job: Job<In, Out> = {
        input, key: this.#work.key(input), left, sinceMs, untilMs: sinceMs + this.#options.waitTimeoutMs,
        started: false, running: false, maybeApplied: false, losses: 0, code: 'DEADLINE', resolve, reject,
      };
      this.#live.add(job);
      this.#counts.waiting += 1;
      this.#queue.push(job);
      this.#sweepSoon();
      this.#pump();
    });
  }

  stats(): BatchStats {
    const open = this.#slots.filter(({ connection }) => connection?.alive).length;
    return { open, busy: this.#slots.filter(({ busy }) => busy).length, ...this.#counts };
  }

  /** Refuses what waits, lets what runs finish; resolves when nothing is left, or after graceMs. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    for (const job of this.#live) if (!job.started) this.#fail(job, 'CLOSING');
    if (this.#live.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>(resolve => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([grace, new Promise<void>(resolve => {
      this.#emptied = resolve;
    })]);
    clearTimeout(timer);
    for (const { connection } of this.#slots) connection?.kill('CLOSING');
    for (const job of this.#live) this.#fail(job, 'CLOSING');
  }

  #pump(): void {
    for (const slot of this.#slots) {
      if (slot.busy) continue;
      const jobs = this.#take();
      if (jobs.length === 0) return;
      slot.busy = true;
      void this.#serve(slot, jobs).finally(() => {
        slot.busy = false;
        this.#pump();
      });
    }
  }

  /** The next statement's jobs, from the front of the queue, sorted. */
  #take(): Job<In, Out>[] {
    const taken = new Map<string, Job<In, Out>>();
    const later: Job<In, Out>[] = [];
    let at = 0;
    for (; at < this.#queue.length && taken.size < MOST_IN_ONE; at += 1) {
      const job = this.#queue[at];
      if (!job || !this.#live.has(job)) continue;
      if (job.left()) this.#fail(job, 'CALLER_LEFT');
      else if (taken.has(job.key)) later.push(job);
      else taken.set(job.key, job);
    }
    this.#queue = later.concat(this.#queue.slice(at));
    const jobs = [...taken.values()].sort((one, other) => (one.key < other.key ? -1 : 1));
    for (const job of jobs) this.#start(job);
    return jobs;
  }

  #start(job: Job<In, Out>): void {
    if (job.started) return;
    const now = performance.now();
    job.started = true;
    job.untilMs = now + this.#options.queryTimeoutMs;
    this.#counts.waiting -= 1;
    this.#counts.waitMsTotal += now - job.sinceMs;
  }

  async #serve(slot: Slot, taken: Job<In, Out>[]): Promise<void> {
    let jobs = taken;
    let repaired = false;
    for (;;) {
      const error = await this.#attempt(slot, jobs);
      if (error === null) return;
      if (!repaired && slot.connection?.alive && parseCode(error.code).reason === 'schema_failed') {
        repaired = true;
        const failed = await this.#on(slot, run => this.#work.repair(run));
        if (failed !== null) return this.#judge(jobs, failed);
        // Whose time ran out meanwhile has the answer that nothing was stored.
        jobs = jobs.filter(job => this.#live.has(job));
        if (jobs.length === 0) return;
        continue;
      }
      const apart = jobs.length > 1 && slot.connection?.alive && parseCode(error.code).ofOneRow;
      if (apart) return this.#alone(slot, jobs, error);
      return this.#judge(jobs, error);
    }
  }

  /** Null when every job has its answer, or has gone back to wait for another try. */
  async #attempt(slot: Slot, jobs: Job<In, Out>[]): Promise<ConnectionError | null> {
    let answers: (Out | undefined)[] = [];
    this.#counts.batches += 1;
    this.#counts.batched += jobs.length;
    for (const job of jobs) job.running = true;
    const error = await this.#on(slot, async run => {
      answers = await this.#work.run(run, jobs.map(({ input }) => input));
    });
    const unanswered = jobs.filter((job, at) => {
      job.running = false;
      const answer = answers[at];
      if (answer === undefined) return true;
      this.#settle(job, () => job.resolve(answer));
      return false;
    });
    if (error !== null || unanswered.length === 0) return error;
    slot.connection?.kill('NO_ROW');
    this.#judge(unanswered, new ConnectionError('NO_ROW', true));
    return null;
  }

  /** Each in a statement of its own, so that the one that is refused fails alone. */
  async #alone(slot: Slot, jobs: Job<In, Out>[], refused: ConnectionError): Promise<void> {
    const { lockTimeoutMs } = this.#options;
    await this.#on(slot, run => this.#work.setLockTimeout(run, Math.min(ALONE_LOCK_MS, lockTimeoutMs)));
    for (const [at, job] of jobs.entries()) {
      if (!slot.connection?.alive) return this.#judge(jobs.slice(at), new ConnectionError('CONNECTION_CLOSED', false));
      if (!this.#live.has(job)) continue;
      const late = job.untilMs - performance.now() < 2 * ALONE_LOCK_MS;
      const error = late ? refused : await this.#attempt(slot, [job]);
      if (error !== null) this.#judge([job], error);
    }
    if (slot.connection?.alive) await this.#on(slot, run => this.#work.setLockTimeout(run, lockTimeoutMs));
  }

  /** Runs on the slot's connection, or on a new one. Never throws. */
  async #on(slot: Slot, act: (run: Run) => Promise<unknown>): Promise<ConnectionError | null> {
    const { queryTimeoutMs, connectTimeoutMs } = this.#options;
    try {
      const connection = this.#connectionOf(slot);
      // A server that lives answers before this, by its own statement timeout.
      const budgetMs = connection.proven ? queryTimeoutMs - connectTimeoutMs : queryTimeoutMs;
      await act(statement => connection.run(statement, budgetMs));
      this.#dialer.proven();
      return null;
    } catch (error) {
      if (slot.connection?.alive && slot.connection.proven) this.#dialer.proven();
      const known = error instanceof ConnectionError ? error : new ConnectionError('NO_CODE', true, error);
      // It was opened read-only, and would stay so after the server has changed its mind.
      if (parseCode(known.code).reason === 'read_only') slot.connection?.end();
      return known;
    }
  }

  #connectionOf(slot: Slot): Connection {
    const now = performance.now();
    const { connection } = slot;
    if (connection?.alive && now - slot.usedMs < IDLE_MS && now - slot.bornMs < LIFE_MS) {
      slot.usedMs = now;
      return connection;
    }
    connection?.end();
    slot.connection = null;
    slot.connection = this.#dialer.dial();
    slot.bornMs = slot.usedMs = now;
    return slot.connection;
  }

  /** Which of these have failed for good, and which are worth another try. */
  #judge(jobs: Job<In, Out>[], { code, maybeApplied, cause }: ConnectionError): void {
    const { kind, reason } = parseCode(code);
    const lost = reason === 'connection_lost';
    const again = jobs.filter(job => {
      job.maybeApplied ||= maybeApplied;
      job.losses += lost ? 1 : 0;
      job.code = code;
      // What may have been stored is repeated as long as there is time: only its key can tell what became of it.
      const worthIt = !this.#closing && (job.maybeApplied ? kind !== 'bug' : lost && job.losses <= MORE_TRIES);
      if (!worthIt) this.#fail(job, code, cause);
      return worthIt && this.#live.has(job);
    });
    if (again.length === 0) return;
    this.#counts.retries += again.length;
    setTimeout(() => {
      this.#queue.unshift(...again);
      this.#pump();
    }, lost ? 0 : PAUSE_MS);
  }

  #fail(job: Job<In, Out>, code: string, cause?: unknown): void {
    // An answer of the server itself may still come; nobody waits for it any longer.
    const maybeApplied = job.maybeApplied || job.running;
    if (!job.started && this.#live.has(job)) {
      this.#counts.waiting -= 1;
      if (code === 'QUEUE_TIMEOUT') this.#counts.shed += 1;
    }
    this.#settle(job, () => job.reject(new ConnectionError(code, maybeApplied, cause)));
  }

  #settle(job: Job<In, Out>, tell: () => void): void {
    if (!this.#live.delete(job)) return;
    tell();
    if (this.#live.size === 0) this.#emptied();
  }

  #sweepSoon(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    setTimeout(() => {
      this.#sweeping = false;
      const now = performance.now();
      for (const job of this.#live) {
        if (now > job.untilMs) this.#fail(job, job.started ? job.code : 'QUEUE_TIMEOUT');
      }
      if (this.#live.size > 0) this.#sweepSoon();
    }, SWEEP_MS);
  }
}
