import {
  DEFAULT_CONFIG_PATH,
  SETTING_GROUPS,
  SETTING_NAMES,
  type SettingGroup,
  settingOf,
  spellings,
} from "../daemon/settings.ts";
import { paragraph, section } from "./layout.ts";

/** What `virtxd --help` prints: all that a system administrator needs to run the daemon. */
export function serveHelp(): string {
  return [
    paragraph(
      "virtxd runs the virtual machines of this host through libvirt, and serves the REST API to control them.",
    ),
    "Usage: virtxd [serve] [options]\n",
    paragraph(
      "The same executable is the client: virtxd help lists its commands. Called by a link named virtx, it is nothing but " +
        "the client: ln -s virtxd /usr/local/bin/virtx",
    ),
    paragraph(
      "Each setting below can be given as a flag, as an environment variable, or as a key of the configuration " +
        `file, which is the flag without its dashes: --log-level debug, VIRTXD_LOG_LEVEL=debug, ` +
        `log-level = "debug". The first of flag, variable, file and default counts.`,
    ),
    ...Object.entries(SETTING_GROUPS).map(([group, title]) =>
      section(title, settingEntries(group as SettingGroup))
    ),
    section("General", [
      [
        "--config <path>",
        `Read this TOML file.\n[VIRTXD_CONFIG; default: ${DEFAULT_CONFIG_PATH}, if it exists]`,
      ],
      [
        "--check-config",
        "Print the configuration that would be used and where each value comes from; then end.",
      ],
      ["-h, --help", "Print this."],
      ["-V, --version", "Print the versions of virtxd and of the runtime in it."],
    ]),
    section("Files", [
      [DEFAULT_CONFIG_PATH, "the configuration, unless --config names another"],
      ["/run/virtxd/virtxd.sock", "the API as a unix socket"],
      [
        "/var/lib/virtxd/storage.json",
        "which storage this host uses; remove it when you have really replaced what is at /vms",
      ],
      [
        "/var/lib/virtxd/secrets",
        "definitions with passwords while they are being changed, for root alone",
      ],
      [
        "/var/lib/virtxd/trash-secrets",
        "definitions with passwords of deleted VMs for as long as the trash has the rest, for root alone",
      ],
      ["/var/cache/virtxd", "the runtime, if the executable is of the form that unpacks itself"],
      [
        "/vms",
        "shared storage: disks and images in /vms/ds, definitions of VMs in /vms/xml, UEFI variables in /vms/ds/nvram",
      ],
    ]),
    section("Signals", [
      [
        "TERM, INT",
        "Stop listening, let open requests and operations end, then end. Sent again: end at once.",
      ],
      ["USR1", "Switch the log level to debug, and back."],
      ["HUP", "Ignored. A changed configuration needs a restart, which does not disturb VMs."],
    ]),
    section("Exit codes", [
      ["0", "ended by a signal, everything in order"],
      ["64", "wrong usage"],
      ["69", "libvirt, /vms or an address to listen at is not available"],
      ["70", "a defect of virtxd; the log has the details"],
      ["73", "no place for the executable to unpack itself to"],
      ["77", "not enough rights"],
      ["78", "wrong configuration"],
    ]),
    section("Examples", [
      ["virtxd --libvirt-uri test:///default", "Try the API out, without a hypervisor."],
      ["virtxd --listen 0.0.0.0:8080 --insecure", "Serve a trusted network."],
      ["virtxd vm list", "Ask it as a client; the API itself is described at /docs."],
      ["virtxd --check-config", "See what a restart would use."],
    ]),
  ].join("\n");
}

function settingEntries(group: SettingGroup): readonly (readonly [string, string])[] {
  return SETTING_NAMES.map((name) => ({ name, setting: settingOf(name) }))
    .filter(({ setting }) => setting.group === group)
    .map(({ name, setting }) => {
      const { flag, variable } = spellings(name);
      const { placeholder } = setting.type;
      const value = setting.type.toText(setting.default);
      return [
        placeholder ? `${flag} <${placeholder}>` : flag,
        `${setting.help}\n[${variable}; default: ${value}]`,
      ];
    });
}
