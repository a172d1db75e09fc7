import { VirtxError } from "../model/error.ts";

/**
 * The failure to start a domain, in plain words if sanlock is behind it: libvirt's lock manager says ENOSPC where the host has
 * not joined the lockspace of a lease.
 * @param xml the domain's definition
 */
export function explainLease(error: unknown, xml: string): unknown {
  if (!(error instanceof VirtxError) || !/no space left on device/i.test(error.message)) return error;
  const lockspace = /<lease>[^]*?<lockspace>([^<]+)<\/lockspace>/.exec(xml)?.[1];
  if (lockspace === undefined) return error;
  return VirtxError.wrap(
    error,
    `The VM has a lease in sanlock's lockspace "${lockspace}", which this host has not joined. Start the prototype's daemon ` +
      "here, which joins it, or start the VM on a host that has joined. libvirt says",
  );
}
