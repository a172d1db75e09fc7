import { SHARED_STORAGE } from "./shared_storage.ts";
import type { HostRecord, LabRecord } from "./state.ts";
import { until } from "./until.ts";

/** What runs on every lab host: its own libvirtd and its own Serf agent, with the settings that a lab needs. */

/** How services reach into a host. */
export interface ServiceHost {
  readonly record: HostRecord;
  /** The host's / as a directory of the machine, whether the host runs or not; only for /etc and /var. */
  readonly disk: string;
  /** Runs a program on the host; fails unless it succeeds. */
  exec(argv: readonly string[]): Promise<string>;
}

/** Serf's RPC address on every host. */
export const SERF_RPC = "127.0.0.1:7373";

/** A peer that does not answer for 8 s is gone; by libvirt's defaults, for 30 s. That is how long a broken link is not seen. */
const KEEPALIVE = `
keepalive_interval = 2
keepalive_count = 3
`;

const LIBVIRTD_CONF = (host: HostRecord) => `
host_uuid = "${host.uuid}"
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
${KEEPALIVE.trim()}
`;

/**
 * No security driver, no cgroups and no private /dev for QEMU: the lab host is the fence, and it has none of these. No core files,
 * either: sudo lowers the limit for them, and in a container root may not raise it again.
 */
const QEMU_CONF = `
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
max_core = 0
stdio_handler = "file"
${KEEPALIVE.trim()}
`;

/** The network "default" is the host's bridge, so that libvirt needs neither dnsmasq nor a firewall for it. */
const DEFAULT_NETWORK = `
<network>
  <name>default</name>
  <uuid>00000000-0000-4000-8000-000000000001</uuid>
  <forward mode="bridge"/>
  <bridge name="br0"/>
</network>
`;

/** Writes the host's settings; a change takes effect when the service starts next. */
export async function configureServices(host: ServiceHost, lab: LabRecord): Promise<void> {
  const networks = `${host.disk}/etc/libvirt/qemu/networks`;
  await Deno.mkdir(`${networks}/autostart`, { recursive: true });
  await Deno.mkdir(`${host.disk}/etc/serf`, { recursive: true });
  await Deno.writeTextFile(`${host.disk}/etc/libvirt/libvirtd.conf`, LIBVIRTD_CONF(host.record).trimStart());
  await Deno.writeTextFile(`${host.disk}/etc/libvirt/qemu.conf`, QEMU_CONF.trimStart());
  await Deno.writeTextFile(`${networks}/default.xml`, DEFAULT_NETWORK.trimStart());
  await Deno.remove(`${networks}/autostart/default.xml`).catch(() => {}); // It is not there the first time.
  await Deno.symlink("/etc/libvirt/qemu/networks/default.xml", `${networks}/autostart/default.xml`);
  const agent = {
    node_name: host.record.name,
    bind: host.record.address,
    rpc_addr: SERF_RPC,
    user_event_size_limit: 1024, // protocol.md §2
    retry_join: lab.hosts.filter((other) => other.name !== host.record.name).map((other) => other.address),
    retry_interval: "1s",
  };
  await Deno.writeTextFile(`${host.disk}/etc/serf/agent.json`, JSON.stringify(agent, undefined, 2) + "\n");
}

/** Writes /etc/hosts: every host of the lab by name. */
export async function writeHosts(host: ServiceHost, lab: LabRecord): Promise<void> {
  const lines = ["127.0.0.1 localhost", ...lab.hosts.map((other) => `${other.address} ${other.name}`)];
  await Deno.writeTextFile(`${host.disk}/etc/hosts`, lines.join("\n") + "\n");
}

/** Starts libvirtd unless it runs, and waits until it answers. */
export async function startLibvirtd(host: ServiceHost): Promise<void> {
  // It goes into the background by itself, once it listens.
  const args = ["--daemon", "--listen", "--pid-file=/run/libvirtd.pid"];
  const start = startStop("start", "libvirtd", [
    "--oknodo",
    "--startas",
    "/usr/sbin/libvirtd",
    "--",
    ...args,
  ]);
  await host.exec(["env", `LD_PRELOAD=/usr/local/lib/${SHARED_STORAGE}`, ...start]);
  await until(`libvirtd on ${host.record.name} to answer`, async () => {
    try {
      return await host.exec(["virsh", "--connect=qemu:///system", "uri"]);
    } catch {
      return undefined;
    }
  }, 20_000);
}

/** Starts the Serf agent unless it runs, and waits until it answers. */
export async function startSerf(host: ServiceHost): Promise<void> {
  await host.exec(startDaemon("serf", ["/usr/bin/serf", "agent", "-config-file=/etc/serf/agent.json"]));
  await until(`the Serf agent on ${host.record.name} to answer`, async () => {
    try {
      return await host.exec(["serf", "info", `-rpc-addr=${SERF_RPC}`]);
    } catch {
      return undefined;
    }
  }, 20_000);
}

/** The hosts that a host's agent believes to be alive, by name. */
export async function aliveMembers(host: ServiceHost): Promise<string[]> {
  const filter = ["-status=alive", "-format=json", `-rpc-addr=${SERF_RPC}`];
  const answer = JSON.parse(await host.exec(["serf", "members", ...filter])) as {
    members: { name: string }[];
  };
  return answer.members.map((member) => member.name);
}

/**
 * The command that starts a program in the background, unless it runs already, with its output in /var/log/<name>.log
 * and its pid in /run/<name>.pid.
 * @param argv with the program's full path
 */
export function startDaemon(name: string, [program = "", ...args]: readonly string[]): string[] {
  const background = ["--background", "--make-pidfile", "--output", `/var/log/${name}.log`];
  return startStop("start", name, ["--oknodo", ...background, "--startas", program, "--", ...args]);
}

/** The command that ends such a program: SIGTERM, and after 30 s SIGKILL. */
export function stopDaemon(name: string): string[] {
  return startStop("stop", name, ["--oknodo", "--remove-pidfile", "--retry", "TERM/30/KILL/5"]);
}

/** The command that succeeds if such a program runs. */
export function daemonStatus(name: string): string[] {
  return startStop("status", name, []);
}

/**
 * start-stop-daemon(8). It tells programs by their pid file alone: what is started may be a launcher that becomes another
 * program, and /run is empty when a host starts.
 */
function startStop(action: "start" | "stop" | "status", name: string, options: readonly string[]): string[] {
  return ["start-stop-daemon", `--${action}`, "--quiet", "--pidfile", `/run/${name}.pid`, ...options];
}
