/** What the signals that virtxd cares for lead to. */
export interface SignalActions {
  /** SIGTERM or SIGINT, for the first time. */
  stop(signal: Deno.Signal): void;
  /** SIGTERM or SIGINT once more. */
  stopAtOnce(signal: Deno.Signal): void;
  /** SIGUSR1. */
  toggleDebug(): void;
}

/** Listens until disposed. SIGHUP, which would end the process, has no effect. */
export function listenForSignals(actions: SignalActions): Disposable {
  let stopping = false;
  const onStop = (signal: Deno.Signal) => {
    if (stopping) return actions.stopAtOnce(signal);
    stopping = true;
    actions.stop(signal);
  };
  const listeners: readonly (readonly [Deno.Signal, () => void])[] = [
    ["SIGTERM", () => onStop("SIGTERM")],
    ["SIGINT", () => onStop("SIGINT")],
    ["SIGUSR1", () => actions.toggleDebug()],
    ["SIGHUP", () => {}],
  ];
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  return {
    [Symbol.dispose]() {
      for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
    },
  };
}
