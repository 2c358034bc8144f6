// The rungs of the contract, bottom first: the one list that verify, the verdict and the reports go by.

export const rungs = ['reachable', 'alive', 'versioned', 'ready', 'usable', 'lasting', 'contained'] as const;
export type RungName = (typeof rungs)[number];
