/**
 * Told of each step that changes something durable, right after it: "storage.linked", "journal.written". It is how a
 * test stops or kills the program between two steps; a daemon in production has none.
 */
export type FaultHook = (point: string) => void | Promise<void>;

export const noFault: FaultHook = () => {};
