/** The wall clock, UTC milliseconds; passed in, so that tests can turn it. */
export type Clock = () => number;

/** The machine's own. */
export const systemClock: Clock = Date.now;
