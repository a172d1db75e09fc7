import type { Command } from "../command.ts";

export const CONFIG_COMMANDS: readonly Command[] = [
  {
    path: ["config", "show"],
    summary: "Show the profiles, and which server would be asked",
    description:
      "The configuration is ~/.config/virtx/config.toml (VIRTX_CONFIG names another): profiles, each with servers that " +
      "are tried in turn. --server goes before --profile, that before VIRTX_API_SERVER, VIRTX_PROFILE and the default profile; " +
      "if there is none of them, this host's own server is asked.",
    examples: [{ command: "virtx config show", summary: "What there is, and what counts" }],
    load: () => import("../run/config_show.ts"),
  },
  {
    path: ["config", "set"],
    summary: "Make or change a profile",
    arguments: [
      { name: "profile", summary: "Its name", kind: "word" },
      {
        name: "server",
        summary: "Its servers: host, host:port, URL or unix:/path",
        kind: "word",
        many: true,
        optional: true,
      },
    ],
    flags: [{ name: "default", summary: "Use it unless told otherwise" }],
    examples: [
      {
        command: "virtx config set lab virt1 virt2 --default",
        summary: "Two servers, tried in turn, from now on",
      },
    ],
    load: () => import("../run/config_set.ts"),
  },
  {
    path: ["config", "remove"],
    summary: "Remove a profile",
    arguments: [{ name: "profile", summary: "Its name", kind: "word" }],
    examples: [{ command: "virtx config remove lab", summary: "Forget it" }],
    load: () => import("../run/config_remove.ts"),
  },
];

/** Commands that are about nothing in the cluster. */
export const GENERAL_COMMANDS: readonly Command[] = [
  {
    path: ["completion"],
    summary: "Print the script that completes commands, flags and names in your shell",
    description: "Put it where your shell looks for such scripts:\n\n" +
      "bash: virtx completion bash > /etc/bash_completion.d/virtx\n\n" +
      "zsh: virtx completion zsh > /usr/local/share/zsh/site-functions/_virtx\n\n" +
      "fish: virtx completion fish > ~/.config/fish/completions/virtx.fish",
    arguments: [{
      name: "shell",
      summary: "bash, zsh or fish",
      kind: "word",
      choices: ["bash", "zsh", "fish"],
    }],
    examples: [
      { command: "virtx completion bash", summary: "For bash" },
      { command: "source <(virtx completion bash)", summary: "For this shell alone" },
    ],
    load: () => import("../run/completion.ts"),
  },
  {
    path: ["version"],
    summary: "Print the versions of this program and of the runtime in it",
    examples: [{ command: "virtx version", summary: "The version" }],
    load: () => import("../run/version.ts"),
  },
  {
    path: ["man"],
    summary: "Print the manual page",
    examples: [{ command: "virtx man | man -l -", summary: "Read it" }],
    load: () => import("../run/man.ts"),
  },
  {
    path: ["help"],
    summary: "Print help about everything or about a command",
    arguments: [
      { name: "command", summary: "The words that name a command", kind: "word", many: true, optional: true },
    ],
    flags: [{ name: "markdown", summary: "All of it as a reference page" }],
    examples: [
      { command: "virtx help", summary: "What there is" },
      { command: "virtx help vm list", summary: "Help about a command" },
    ],
    load: () => import("../run/help.ts"),
  },
];
