// How Node is told to run a service.

/** A small nursery: nothing that lives long is made in large numbers, and V8 keeps what its nursery once grew to (10 to 15 MB of resident memory each, bench/rest). */
export const nodeFlags = ['--max-semi-space-size=1'] as const
