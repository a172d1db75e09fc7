/** libfaketime, of whatever architecture this machine is (ld.so(8), dynamic string tokens). */
const LIBRARY = "/usr/$LIB/faketime/libfaketime.so.1";

/**
 * The environment in which a program believes that it is so much later, or earlier if negative; its timers go on
 * as they would. For one program only: all hosts of a lab have the machine's clock.
 */
export function skewedClock(offsetMs: number): Readonly<Record<string, string>> {
  const seconds = offsetMs / 1000;
  return {
    LD_PRELOAD: LIBRARY,
    FAKETIME: `${seconds < 0 ? "" : "+"}${seconds}`,
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}
