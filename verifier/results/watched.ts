// What the probes of a drill saw and how long things took, as data that can be kept and drawn.

/** good: served; refused: turned away in the promised form (503 with Retry-After); bad: anything else. */
export type Grade = 'good' | 'refused' | 'bad';
/** Times count in ms from the start of the drill's timeline. */
export type Seen = { probe: string; fromMs: number; toMs: number; grade: Grade; word: string };
/** What was measured beside what was allowed, SCALE included; null when it never came. */
export type Timing = { what: string; ms: number | null; withinMs: number };
export type Watched = {
  drill: string;
  node: string;
  samples: Seen[];
  /** `inject`, `injected`, `recover`, `recovered`, and what else the drill marked. */
  marks: Record<string, number>;
  times: Timing[];
};
