/**
 * `lab`: real hosts on one machine, each with its own libvirtd and Serf agent, as network, mount and PID namespaces.
 *
 *     deno task lab up --hosts 3
 *     deno task lab exec virt1 virsh list
 *     deno task lab down
 */
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { Lab } from "./lab/lab.ts";
import { statusReport } from "./lab/report.ts";
import { labNames } from "./lab/state.ts";
import { ensurePackages } from "./packages.ts";
import { print, printedProgress, seconds } from "./progress.ts";
import { throughSudo } from "./root.ts";

/** Logs of a host, by what writes them. */
const LOGS = [
  "/var/log/libvirt/libvirtd.log",
  "/var/log/libvirt/qemu",
  "/var/log/serf.log",
  "/var/log/virtxd.log",
];

/** A lab that must be there. */
async function theLab(name: string): Promise<Lab> {
  const lab = await Lab.find(name);
  if (lab) return lab;
  throw new Error(`There is no lab "${name}"; start it with: deno task lab up --name ${name}`);
}

/** Runs a program with this terminal as its own. */
async function inTerminal(argv: readonly string[]): Promise<number> {
  const [program = "", ...args] = argv;
  const options = { args, stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
  return (await new Deno.Command(program, options).spawn().status).code;
}

async function up(options: { name: string; hosts: number }): Promise<void> {
  const begin = performance.now();
  await ensurePackages(printedProgress);
  const lab = await Lab.up({ ...options, progress: printedProgress });
  print(
    `Lab ${lab.name} is up with ${lab.hosts.length} host(s) after ${seconds(performance.now() - begin)}\n`,
  );
}

async function down(options: { name: string; all?: boolean }): Promise<void> {
  for (const name of options.all ? await labNames() : [options.name]) {
    await printedProgress.step(`Lab ${name}: down`, () => Lab.down(name));
  }
}

async function status(options: { name?: string }): Promise<void> {
  const names = options.name === undefined ? await labNames() : [options.name];
  if (names.length === 0) print("There is no lab\n");
  for (const name of names) {
    const lab = await Lab.find(name);
    if (lab) print(statusReport(lab.record, await Promise.all(lab.hosts.map((host) => host.status()))));
    else print(`Lab ${name}: not there, or only begun\n`);
  }
}

async function exec(host: string, argv: string[], options: { name: string }): Promise<void> {
  const words = argv[0] === "--" ? argv.slice(1) : argv;
  const terminal = `TERM=${Deno.env.get("TERM") ?? "dumb"}`;
  const lab = await theLab(options.name);
  Deno.exitCode = await inTerminal(await lab.host(host).command([terminal, ...words]));
}

async function logs(
  hostName: string,
  options: { name: string; lines: number; follow?: boolean },
): Promise<void> {
  const host = (await theLab(options.name)).host(hostName);
  const found = await host.run(["find", ...LOGS, "-name", "*.log", "-size", "+0"]);
  const files = found.stdout.split("\n").filter((file) => file !== "");
  if (files.length === 0) return print(`There is nothing yet in the logs of ${hostName}\n`);
  const follow = options.follow ? ["--follow=name"] : [];
  Deno.exitCode = await inTerminal(
    await host.command(["tail", "--verbose", `--lines=${options.lines}`, ...follow, ...files]),
  );
}

function integer(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("Not a number.");
  return Number(text);
}

/** Parses the command line and does what it says. */
async function main(args: readonly string[]): Promise<void> {
  const program = new Command("lab").description("Real hosts on one machine, for virtxd").exitOverride()
    .enablePositionalOptions();
  const command = (usage: string, description: string) => program.command(usage).description(description);
  const NAME = ["--name <lab>", "which lab", "lab"] as const;

  command("up", "start a lab, add hosts to it, or repair it").option(...NAME)
    .option("--hosts <n>", "how many hosts", integer, 1)
    .action(up);
  command("down", "end a lab and remove all that it left").option(...NAME).option("--all", "end every lab")
    .action(down);
  command("status", "what runs").option("--name <lab>", "only this lab")
    .action(status);
  command("exec <host> <command...>", "run a command on a host").option(...NAME).passThroughOptions()
    .action(exec);
  command("logs <host>", "the logs of libvirtd, QEMU, Serf and virtxd on a host").option(...NAME)
    .option("--lines <n>", "how many lines of each", integer, 40).option("--follow", "go on as they grow")
    .action(logs);

  await program.parseAsync([...args], { from: "user" });
}

if (import.meta.main) {
  try {
    const code = await throughSudo(import.meta.url);
    if (code === undefined) await main(Deno.args);
    else Deno.exitCode = code;
  } catch (error) {
    if (error instanceof CommanderError) Deno.exitCode = error.exitCode;
    else {
      print(`${error instanceof Error ? error.message : error}\n`);
      Deno.exitCode = 1;
    }
  }
}
