import { LOG_LEVELS } from "../model/log.ts";
import {
  absolutePath,
  choice,
  duration,
  integer,
  list,
  listenAddress,
  optional,
  switchType,
  text,
  type ValueType,
} from "./value_types.ts";

/** Where the configuration file is looked for when no other is named; it need not exist. */
export const DEFAULT_CONFIG_PATH = "/etc/virtxd/virtxd.toml";

/** Whom the socket is for, beside root, if the host has this group. */
export const DEFAULT_SOCKET_GROUP = "virtx";

/** The sections of the help, in its order. */
export const SETTING_GROUPS = {
  listening: "Listening",
  cluster: "The cluster",
  virtualization: "Virtual machines and their host",
  storage: "Storage",
  operation: "Logging and life cycle",
} as const;
export type SettingGroup = keyof typeof SETTING_GROUPS;

/** One thing that can be configured. */
export interface Setting<T> {
  readonly group: SettingGroup;
  readonly type: ValueType<T>;
  readonly default: NoInfer<T>;
  readonly help: string;
}

function setting<const T>(description: Setting<T>): Setting<T> {
  return description;
}

/**
 * Everything that can be configured: the single source of flags, environment variables, keys of the configuration
 * file, defaults and help. The names of the first three follow from the name here: see {@link spellings}.
 */
export const SETTINGS = {
  listen: setting({
    group: "listening",
    type: list(listenAddress),
    default: [],
    help: "Serve plain HTTP at these addresses too, by which other hosts reach this one. Takes --insecure.",
  }),
  socket: setting({
    group: "listening",
    type: optional(absolutePath),
    default: "/run/virtxd/virtxd.sock",
    help: "Serve this unix socket, below /run/virtxd; who may open it controls all VMs.",
  }),
  socketGroup: setting({
    group: "listening",
    type: optional(text("name", "a group's name", /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/)),
    default: DEFAULT_SOCKET_GROUP,
    help: "The group that may open the socket, like root; the default counts if the host has it.",
  }),
  insecure: setting({
    group: "listening",
    type: switchType,
    default: false,
    help: "Let anybody who reaches an address of --listen control all VMs; loopback: every local user.",
  }),
  serfRpc: setting({
    group: "cluster",
    type: optional(listenAddress),
    default: { hostname: "127.0.0.1", port: 7373 },
    help: "Where this host's Serf agent answers (its rpc_addr); none: this host is alone.",
  }),
  serfKeyFile: setting({
    group: "cluster",
    type: optional(absolutePath),
    default: null,
    help: "The file with the agent's key (its rpc_auth).",
  }),
  libvirtUri: setting({
    group: "virtualization",
    type: text("uri", "a libvirt connection URI such as qemu:///system", /^[a-z][a-z0-9+]*:\/\/\S*$/),
    default: "qemu:///system",
    help: "The hypervisor to manage: qemu:///system, or test:///default to try virtxd out.",
  }),
  domainType: setting({
    group: "virtualization",
    type: choice("auto", "kvm", "qemu"),
    default: "auto",
    help: "Run VMs by KVM or by emulation; auto: by KVM if the host has it.",
  }),
  sampleInterval: setting({
    group: "virtualization",
    type: duration(1_000, 3_600_000),
    default: 15_000,
    help: "How often figures of the host and of its VMs are taken.",
  }),
  blockDevices: setting({
    group: "storage",
    type: list(
      text("/dev/path", "a path below /dev", /^\/dev(\/(?!\.{1,2}(\/|$))[^\0,/]+)+$/),
    ),
    default: [],
    help: "Block devices that VMs may have as disks, * matching any name. They are never wiped.",
  }),
  provisionConcurrency: setting({
    group: "storage",
    type: integer(1, 64),
    default: 2,
    help: "How many disks are created at the same time.",
  }),
  provisionTimeout: setting({
    group: "storage",
    type: duration(1_000, 86_400_000),
    default: 3_600_000,
    help: "After this long, creating a disk is given up and undone.",
  }),
  trashHours: setting({
    group: "storage",
    type: integer(0, 8_760),
    default: 24,
    help: "How long deleted disks can be restored, unless a new disk needs the room; 0: not at all.",
  }),
  logLevel: setting({
    group: "operation",
    type: choice(...LOG_LEVELS),
    default: "info",
    help: "The least severe lines to log. SIGUSR1 switches debug on and off.",
  }),
  logFormat: setting({
    group: "operation",
    type: choice("auto", "text", "json"),
    default: "auto",
    help: "How lines look on standard error; auto: text on a terminal, otherwise JSON.",
  }),
  shutdownTimeout: setting({
    group: "operation",
    type: duration(0, 3_600_000),
    default: 30_000,
    help: "How long open requests and running operations may take to end at SIGTERM.",
  }),
};

export type SettingName = keyof typeof SETTINGS;
type ValueOf<S> = S extends Setting<infer T> ? T : never;

/** A value for each setting. Times are milliseconds. */
export type Config = { readonly [N in SettingName]: ValueOf<(typeof SETTINGS)[N]> };

/** In the order of the help. */
export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];

/** How a name is spelled: `logLevel` is --log-level, VIRTXD_LOG_LEVEL, and log-level in the file. */
export function spellings(name: string): { key: string; flag: string; variable: string } {
  const key = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return { key, flag: `--${key}`, variable: `VIRTXD_${key.toUpperCase().replaceAll("-", "_")}` };
}

/** The same table with its values' types forgotten, for what treats all settings alike. */
export function settingOf(name: SettingName): Setting<unknown> {
  return SETTINGS[name] as Setting<unknown>;
}
