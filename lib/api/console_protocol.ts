/**
 * What clients and hosts say to each other about consoles, beside HTTP and RFC 6455: a WebSocket with this sub-protocol.
 * Binary messages are what the guest prints and what is typed, cut up anyhow. The server's texts are JSON: `{"taken": n}`
 * says how many bytes of input the guest's line has taken since the beginning. Clients send no texts.
 */
export const CONSOLE_PROTOCOL = "console.virtx";

/** How many bytes of input a client may have sent that have not been taken; one that has no more needs not count. */
export const INPUT_WINDOW = 64 * 1024;

/** Codes by which the server says how a console ended (RFC 6455 §7.4.2), beside 1001: virtxd stops. */
export const CONSOLE_CLOSE = {
  stopped: 4000,
  moved: 4001,
  taken: 4002,
  unread: 4003,
  untaken: 4004,
  lost: 4005,
} as const;

/** What each of them means, for the documentation. */
export const CONSOLE_CLOSE_MEANINGS: Readonly<Record<keyof typeof CONSOLE_CLOSE, string>> = {
  stopped: "the guest has stopped",
  moved: "the guest runs on another host now: connect again, to any host",
  taken: "another user has taken the console",
  unread: "the client did not read what the guest printed, and some is lost: connect again",
  untaken: "the guest takes no input, as one that is paused",
  lost: "libvirt, or the host that the guest is on, is away: connect again",
};

/** RFC 6455 §7.4.1: the server goes away, a message of a kind that it does not take, one that is too much for it. */
export const GOING_AWAY = 1001, UNACCEPTABLE = 1003, TOO_MUCH = 1009, DEFECT = 1011;

/** The path of a VM's console. */
export function consolePath(uuid: string, o: { readonly force: boolean }): string {
  return `/vms/${uuid}/console${o.force ? "?force=true" : ""}`;
}

/** Whether it makes sense to connect again after an end with this code. */
export function isPassing(code: number): boolean {
  const { stopped, taken, untaken } = CONSOLE_CLOSE;
  return ![stopped, taken, untaken, UNACCEPTABLE, TOO_MUCH].some((final) => final === code);
}
