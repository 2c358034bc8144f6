// Builds that fail in the ways in which a new one can, and what an operator must be told of each.

/** `program`: put before the service's own, in the same process. `says`: what `up` tells of it. */
export const badBuilds = [
  { what: 'crashes at its start', program: "throw new Error('its last words');", says: /its last words/ },
  { what: 'exits with 78', program: "console.error('config: I want more'); process.exit(78);", says: /I want more/ },
  { what: 'hangs', program: 'for (;;);', says: /not ready in time|does not answer \/ready/ },
  {
    what: 'is never ready', program: "process.env.DATABASE_NAME = 'no_such_database';", says: /database_missing/,
  },
] as const;
